// Package crash kills a real server with SIGKILL at random moments under load, starts it again and checks that every
// acknowledged write is there with its bytes, that nothing unacknowledged is there in part, and that LIST agrees with
// GET. SIGKILL keeps the page cache, so this proves recovery, not syncs; the simulations prove those.
package crash
