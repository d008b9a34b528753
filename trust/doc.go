// Package trust decides who may speak with whom inside a cluster: which node is at the other end of a connection, and
// who may become a node.
//
// A cluster has a certificate authority of its own, made when it is founded. Each node holds a key and a certificate of
// that authority whose name says cluster and node: contender://CLUSTER/node/NODE. All traffic between nodes is TLS 1.3
// in which both sides show such a certificate. Host names and addresses play no part: a node is its key.
//
// The authority's key is a system record, so every node can read it and admit joiners; no node is special. A node
// thus holds the cluster's whole trust; docs/security.md says what follows from that.
//
// A joiner has neither certificate nor authority. It has the cluster's Secret, or a Token that a member made. It opens a
// TLS 1.3 connection under a protocol name of its own, and both sides prove that they know the secret by an HMAC over
// the keying material that this one session exports, so a proof is worth nothing on any other session: whoever sits in
// the middle of two sessions can pass on bytes but no proofs. Then the joiner hands in its public key and gets its
// certificate.
//
//	joiner                                member
//	  TLS 1.3, contender-join/1             certificate of the member
//	  hello: kind, token id, proof   ─>
//	                                 <─     proof, or a refusal that gives no reason
//	  request: node, key, wishes     ─>
//	                                 <─     certificate, authorities, payload; or a refusal with its reason
//
// Each step has a time limit, each frame a largest size, and JoinLimit bounds how many joins are served at once. Nothing
// here keeps a goroutine or listens. Clock and random source are handed in; only TLS itself draws its session
// keys from crypto/rand.
package trust
