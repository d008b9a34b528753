// Package call is one S3 request after its signature was judged: who asks, which operation on which bucket and key, the
// decoded body, and the answer under way. The front makes a Call for each request and hands it to the operation's
// handler; the handler reads from it what the client said, in the object layer's terms, and answers through it.
//
// Handlers never write errors: they return them, and the front writes them. A Call belongs to one request and one
// goroutine.
package call
