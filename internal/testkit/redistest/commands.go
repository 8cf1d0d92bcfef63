package redistest

import (
	"fmt"
	"strings"
)

// Commands returns how often the server has executed each command, also in scripts.
func (s *Server) Commands() map[string]int {
	counts := map[string]int{}
	for field, value := range s.info("commandstats") {
		var n int
		if name, ok := strings.CutPrefix(field, "cmdstat_"); ok {
			_, _ = fmt.Sscanf(value, "calls=%d", &n)
			counts[name] = n
		}
	}
	return counts
}

// Calls returns how often the server has executed a command.
func (s *Server) Calls(command string) int { return s.Commands()[command] }

// AllCalls returns how many commands the server has executed.
func (s *Server) AllCalls() (n int) {
	for _, count := range s.Commands() {
		n += count
	}
	return n
}
