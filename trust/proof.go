package trust

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"

	"github.com/contender/contender/disk"
)

// role says who makes a proof: no proof of the one can serve as the other's.
type role string

const (
	roleJoiner role = "joiner"
	roleMember role = "member"
)

// claim is what a joiner says that it has.
type claim struct {
	kind  byte // claimSecret or claimToken
	token TokenID
}

const (
	claimSecret byte = 1
	claimToken  byte = 2
)

// exporterLabel names the keying material of a session that the proofs are bound to.
const exporterLabel = "EXPERIMENTAL contender-join/1 proof"

// binding returns bytes that only the two ends of this one TLS session know. They follow from the whole handshake, so
// two sessions never have the same, not even if one party is in both.
func binding(s tls.ConnectionState) ([]byte, error) {
	if mutantJoinUnbound {
		return make([]byte, sha256.Size), nil
	}
	return s.ExportKeyingMaterial(exporterLabel, nil, sha256.Size)
}

// prove returns what shows that a role knows the key of a claim, in the session of the binding, towards the cluster. All
// that is hashed has a fixed length but the role, which is ended by a zero.
func prove(key [sha256.Size]byte, r role, c claim, cluster disk.ClusterID, binding []byte) []byte {
	m := hmac.New(sha256.New, key[:])
	m.Write([]byte(ProtocolJoin + "\x00" + string(r) + "\x00"))
	m.Write([]byte{c.kind})
	m.Write(c.token[:])
	m.Write(cluster[:])
	m.Write(binding)
	return m.Sum(nil)
}

// proves reports whether proof is what prove returns, in constant time.
func proves(proof []byte, key [sha256.Size]byte, r role, c claim, cluster disk.ClusterID, binding []byte) bool {
	return hmac.Equal(proof, prove(key, r, c, cluster, binding))
}
