//go:build bones

package bones

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/contender/contender/conformance/harness"
)

// TestOneWinner has 64 writers put one key with If-None-Match: *, many times over: one wins each time, the others are told
// so, and the object is the winner's.
func TestOneWinner(t *testing.T) {
	const writers = 64
	s := harness.New(t, 4)
	s.Start()
	c := harness.Client(s.Endpoint)
	harness.CreateBucket(t, c, bucket)
	for round := range harness.Pick(10, 100) {
		key := fmt.Sprintf("contested/%03d", round)
		size := []int{1 << 10, 100 << 10}[round%2]
		var mu sync.Mutex
		var wg sync.WaitGroup
		var winners []int
		start := make(chan struct{})
		for w := range writers {
			wg.Go(func() {
				<-start
				_, err := c.PutObject(t.Context(), &s3.PutObjectInput{
					Bucket: aws.String(bucket), Key: aws.String(key), IfNoneMatch: aws.String("*"),
					Body: bytes.NewReader(harness.Body(fmt.Sprint(w), size)),
				})
				mu.Lock()
				defer mu.Unlock()
				var answer *smithyhttp.ResponseError
				switch {
				case err == nil:
					winners = append(winners, w)
				case errors.As(err, &answer) && (answer.HTTPStatusCode() == http.StatusPreconditionFailed || answer.HTTPStatusCode() == http.StatusConflict):
				default:
					t.Errorf("round %d, writer %d: %v", round, w, err)
				}
			})
		}
		close(start)
		wg.Wait()
		if len(winners) != 1 {
			t.Fatalf("round %d: winners %v, want one", round, winners)
		}
		b, err := harness.Get(t.Context(), c, bucket, key)
		if err != nil || !bytes.Equal(b, harness.Body(fmt.Sprint(winners[0]), size)) {
			t.Fatalf("round %d: the object is not the winner's (%v)", round, err)
		}
	}
}
