// Package demo runs a cluster of server processes on this machine, to be tried out: their nodes can be killed, started again
// and joined by more, by commands. What they keep lies in one folder and is there again the next time. It only starts
// processes and asks them over HTTP, as an operator would.
package demo
