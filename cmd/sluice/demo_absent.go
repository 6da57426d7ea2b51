//go:build !demo

package main

import "github.com/spf13/cobra"

// newDemoCommand says how to get the demo: this binary is the service's, which
// carries no embedded broker.
func newDemoCommand(*app) *cobra.Command {
	return &cobra.Command{
		Use:                "demo",
		Short:              "The main job on embedded defaults (make demo builds a binary that has it)",
		Example:            "  make demo",
		Args:               cobra.ArbitraryArgs,
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
		RunE: func(*cobra.Command, []string) error {
			return usageErrorf("this binary carries no embedded broker: make demo builds one that does")
		},
	}
}
