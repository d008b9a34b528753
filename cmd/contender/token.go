package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

type tokenVerb struct {
	Endpoint string        `default:"http://127.0.0.1:9000" help:"S3 endpoint of any node."`
	Expires  time.Duration `default:"1h" help:"How long the token is good for; at most 720h."`
	Uses     int           `default:"1" help:"How many nodes may join with it."`
}

// tokenTimeout bounds the request.
const tokenTimeout = 30 * time.Second

// Run asks an endpoint for a join token, signed with the root keys from CONTENDER_ACCESS_KEY and CONTENDER_SECRET_KEY, and
// prints it: the token alone on standard output, what it is good for on standard error.
func (v *tokenVerb) Run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	c := rootClient(v.Endpoint)
	request := map[string]any{"expires_seconds": int64(v.Expires.Seconds()), "uses": v.Uses}
	var t struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires"`
	}
	if err := c.post(ctx, "token", "/-/admin/tokens", request, &t); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "Good for %d node(s) until %s. It is a secret: give it as CONTENDER_JOIN_TOKEN to a server with --join.\n", v.Uses, t.Expires.Format(time.RFC3339))
	_, err := fmt.Println(t.Token)
	return err
}
