package peer

import (
	"testing"

	"github.com/contender/contender/disk/disktest"
)

func TestMain(m *testing.M) { disktest.VerifyTestMain(m) }
