package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// clockTicks is USER_HZ, the unit of the times in /proc; it is 100 on every Linux that Go runs on.
const clockTicks = 100

// cpuSeconds returns the user and system time that processes have spent so far; a process that is gone counts nothing.
func cpuSeconds(pids []int) float64 {
	var total float64
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		// The name in parentheses may hold spaces; the fields after it are counted from the third.
		i := bytes.LastIndexByte(b, ')')
		if i < 0 {
			continue
		}
		f := bytes.Fields(b[i+1:])
		if len(f) < 13 {
			continue
		}
		for _, n := range f[11:13] {
			ticks, err := strconv.ParseFloat(string(n), 64)
			if err == nil {
				total += ticks / clockTicks
			}
		}
	}
	return total
}
