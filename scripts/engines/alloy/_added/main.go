// Command alloy is Grafana Alloy with the components that components.go names. Alloy's module has its command line but no program:
// that one lies in a module of its own, which needs all the components.
package main

import (
	"os"

	"github.com/grafana/alloy/internal/alloycli"
)

func main() {
	if alloycli.Command().Execute() != nil {
		os.Exit(1)
	}
}
