// Package history loads an S3 service and knows what it must hold: each key belongs to one worker, which knows the last
// acknowledged value, and, if a request got no answer, that its outcome is unknown. So servers may be killed under the
// load; what they hold afterwards is compared with it, object by object, and LIST with GET.
//
// Where many clients share keys, a Record keeps what each of them did and saw, and Porcupine judges whether some order
// explains it.
package history
