package simtest_test

import (
	"os"
	"strconv"
	"testing"
	"testing/cryptotest"
	"time"

	"go.uber.org/goleak"

	"github.com/contender/contender/disk/disktest"
	"github.com/contender/contender/metashards/replica"
	"github.com/contender/contender/metashards/simtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small measures make everything happen in short histories: truncation, snapshots, reading entries back.
func small() replica.Options {
	return replica.Options{
		MessageBytes: 2048, MessagePayloadBytes: 512, InflightMessages: 8, InflightBytes: 2048, ApplyBytes: 2048,
		CacheBytes: 1024, TruncateEntries: 24, KeepEntries: 6, SnapshotTicks: 30,
	}
}

func faulty(seed uint64) simtest.Options {
	return simtest.Options{
		Seed: seed, Clients: 6, Operations: 25, Keys: 2, Replica: small(), BatchCommands: 4,
		Loss: 25, Crashes: 0.5, Cuts: 1, Pauses: 0.2,
		PromiseTime: time.Duration(seed%3+1) * 600 * time.Millisecond,
	}
}

// seeds is how many histories a test runs: n, fewer under the race detector, or as many as CONTENDER_SIM_SEEDS says.
func seeds(t *testing.T, n int) uint64 {
	s := os.Getenv("CONTENDER_SIM_SEEDS")
	if s == "" {
		return uint64(disktest.Seeds(n))
	}
	v, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// histories runs many seeds and returns what they came to together.
func histories(t *testing.T, n uint64, options func(seed uint64) simtest.Options) (sum simtest.Outcome) {
	t.Helper()
	for seed := uint64(1); seed <= n; seed++ {
		cryptotest.SetGlobalRandom(t, seed)
		out, err := simtest.Run(options(seed))
		if err != nil {
			t.Fatal(err)
		}
		sum.Acked += out.Acked
		sum.Unknown += out.Unknown
		sum.Crashes += out.Crashes
		sum.Cuts += out.Cuts
		sum.Pauses += out.Pauses
		sum.Rotten += out.Rotten
		sum.Wrong += out.Wrong
		sum.Remade += out.Remade
		sum.Glances += out.Glances
		sum.Snapshots += out.Snapshots
		sum.Broken += out.Broken
		sum.Duration += out.Duration
		sum.Moves.Add(out.Moves)
	}
	t.Logf("%d histories: %+v", n, sum)
	return sum
}

// moving is a faulty run in which the range's replicas are exchanged among seven stores.
func moving(seed uint64) simtest.Options {
	o := faulty(seed)
	o.Stores, o.Replicas, o.Moves, o.Operations = 7, 3, true, 40
	return o
}

// TestMembership exchanges the range's replicas while clients work under all faults: histories stay linearizable, the
// final members converge, and a replica that was destroyed never speaks again.
func TestMembership(t *testing.T) {
	sum := histories(t, seeds(t, 60), moving)
	m := sum.Moves
	for what, n := range map[string]int{
		"crashes": sum.Crashes, "cuts": sum.Cuts, "snapshots": sum.Snapshots, "adds": m.Adds, "exchanges": m.Exchanges,
		"leaves": m.Leaves, "removes": m.Removes, "demoted": m.Demoted, "leader demoted": m.LeaderDemoted,
		"destroys": m.Destroys, "returns": m.Returns, "broken first snapshots": m.Broken,
	} {
		if n == 0 {
			t.Errorf("%s: none: %+v", what, sum)
		}
	}
}

// splitting is a faulty run in which ranges are split while their replicas are exchanged.
func splitting(seed uint64) simtest.Options {
	o := moving(seed)
	o.Splits, o.Keys = 4, 6
	return o
}

// TestSplits splits ranges and exchanges their replicas at once while clients work under all faults: histories stay
// linearizable, the ranges tile the space, their replicas are equal, and the usage of each is what its rows say.
func TestSplits(t *testing.T) {
	sum := histories(t, seeds(t, 60), splitting)
	m := sum.Moves
	for what, n := range map[string]int{
		"splits": m.Splits, "splits with a learner": m.Learning, "crashes": sum.Crashes, "cuts": sum.Cuts, "snapshots": sum.Snapshots,
		"exchanges": m.Exchanges, "removes": m.Removes, "destroys": m.Destroys, "returns": m.Returns, "broken first snapshots": m.Broken,
	} {
		if n == 0 {
			t.Errorf("%s: none: %+v", what, sum)
		}
	}
}

// TestSplitsAlone splits ranges whose replicas stay, on disks that crash all the time.
func TestSplitsAlone(t *testing.T) {
	sum := histories(t, seeds(t, 60), func(seed uint64) simtest.Options {
		o := faulty(seed)
		o.Splits, o.Keys, o.Crashes, o.PromiseTime = 4, 6, 2, 400*time.Millisecond
		return o
	})
	if sum.Moves.Splits == 0 || sum.Crashes == 0 {
		t.Errorf("%+v", sum)
	}
}

// TestMembershipOnRealDisks does the same on disk/local.
func TestMembershipOnRealDisks(t *testing.T) {
	histories(t, seeds(t, 4), func(seed uint64) simtest.Options {
		o, m := real(seed), moving(seed)
		o.Stores, o.Replicas, o.Moves, o.Operations = m.Stores, m.Replicas, m.Moves, m.Operations
		return o
	})
}

// TestSplitsOnRealDisks does as TestSplits on disk/local.
func TestSplitsOnRealDisks(t *testing.T) {
	histories(t, seeds(t, 6), func(seed uint64) simtest.Options {
		o, m := real(seed), splitting(seed)
		o.Stores, o.Replicas, o.Moves, o.Operations, o.Splits, o.Keys = m.Stores, m.Replicas, m.Moves, m.Operations, m.Splits, m.Keys
		return o
	})
}

// TestStraight is a run without faults.
func TestStraight(t *testing.T) {
	cryptotest.SetGlobalRandom(t, 1)
	out, err := simtest.Run(simtest.Options{Seed: 1, Clients: 3, Operations: 30, Keys: 3})
	if err != nil {
		t.Fatal(err)
	}
	if out.Duration > 30*time.Second || out.Unknown > 0 {
		t.Errorf("%+v", out)
	}
}

// TestHistories runs clients under crashes, losses and cuts: histories must be linearizable, and replicas must converge.
// It is the test that catches the mutant ackbeforequorum.
func TestHistories(t *testing.T) {
	sum := histories(t, seeds(t, 150), faulty)
	if sum.Crashes == 0 || sum.Cuts == 0 || sum.Pauses == 0 || sum.Snapshots == 0 || sum.Broken == 0 || sum.Glances == 0 {
		t.Errorf("faults did not happen: %+v", sum)
	}
	if sum.Unknown > sum.Acked/10 {
		t.Errorf("too little is known: %+v", sum)
	}
}

// TestOneReplica does the same where the only replica crashes all the time.
func TestOneReplica(t *testing.T) {
	histories(t, seeds(t, 40), func(seed uint64) simtest.Options {
		o := faulty(seed)
		o.Stores, o.Crashes = 1, 1
		return o
	})
}

// TestRot does the same while payloads rot.
func TestRot(t *testing.T) {
	sum := histories(t, seeds(t, 40), func(seed uint64) simtest.Options {
		o := faulty(seed)
		o.Rot = 5
		return o
	})
	if sum.Rotten == 0 {
		t.Error("nothing rotted")
	}
}

// TestWrongReplicas does the same while the rows of one replica go wrong again and again: it is remade amid crashes, losses and
// cuts, and nothing that it acknowledged is forgotten.
func TestWrongReplicas(t *testing.T) {
	sum := histories(t, seeds(t, 16), wrong)
	if sum.Wrong == 0 || sum.Remade == 0 || sum.Crashes == 0 || sum.Snapshots == 0 {
		t.Errorf("%+v", sum)
	}
}

// wrong is a faulty run in which the rows of one replica go wrong.
func wrong(seed uint64) simtest.Options {
	o := faulty(seed)
	o.Wrong, o.Operations, o.Crashes, o.Cuts = 0.5, 40, 0.2, 0.5
	return o
}

// TestFiveReplicas does the same with five replicas.
func TestFiveReplicas(t *testing.T) {
	histories(t, seeds(t, 20), func(seed uint64) simtest.Options {
		o := faulty(seed)
		o.Stores, o.Crashes = 5, 1
		return o
	})
}

// TestSameSeedSameTrace runs one seed twenty times, and another on real disks.
func TestSameSeedSameTrace(t *testing.T) {
	for name, o := range map[string]func() simtest.Options{
		"memory": func() simtest.Options { return faulty(5) },
		"real":   func() simtest.Options { return real(7) },
		"moves":  func() simtest.Options { return moving(3) },
		"splits": func() simtest.Options { return splitting(3) },
		"wrong":  func() simtest.Options { return wrong(3) },
	} {
		t.Run(name, func(t *testing.T) {
			var first simtest.Outcome
			for i := range disktest.Seeds(20) {
				cryptotest.SetGlobalRandom(t, 5)
				out, err := simtest.Run(o())
				if err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					first = out
				} else if out != first {
					t.Fatalf("run %d: %+v, the first was %+v", i, out, first)
				}
			}
		})
	}
}

// TestLearnerHasNoVote: what a leader and a learner keep is not acknowledged while the other voter lacks it.
func TestLearnerHasNoVote(t *testing.T) {
	for seed := uint64(1); seed <= seeds(t, 20); seed++ {
		cryptotest.SetGlobalRandom(t, seed)
		without, with, err := simtest.Learner(simtest.Options{Seed: seed})
		if err != nil || without || !with {
			t.Fatalf("seed %d: acknowledged without the voter: %v, with it: %v, %v", seed, without, with, err)
		}
	}
}

// TestReadsByIndex does as TestHistories with reads that ask a majority each time.
func TestReadsByIndex(t *testing.T) {
	histories(t, seeds(t, 30), func(seed uint64) simtest.Options {
		o := faulty(seed)
		o.ReadByIndex = true
		return o
	})
}

// TestDeposedLeaderNeverAnswers cuts a leader off, or pauses its process, while a client goes on reading from it, and others
// write elsewhere: in the time in which two stores believe that they lead, the old one must not answer with old values. It
// catches the mutants stalereads and lease.
func TestDeposedLeaderNeverAnswers(t *testing.T) {
	for _, pause := range []bool{false, true} {
		both := 0
		for seed := uint64(1); seed <= seeds(t, 20); seed++ {
			cryptotest.SetGlobalRandom(t, seed)
			n, err := simtest.Deposed(simtest.Options{Seed: seed, PromiseTime: 600 * time.Millisecond, ReadByIndex: seed%4 == 0}, pause)
			if err != nil {
				t.Fatal(err)
			}
			both += n
		}
		if both == 0 {
			t.Errorf("pause %v: there was never a moment with two leaders: the test shows nothing", pause)
		}
	}
}
