package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-ml/sluice/schemas"
)

// letterGroup counts dead letters of one cause and one input partition.
type letterGroup struct {
	Topic           string    `json:"topic"`
	Class           string    `json:"class"`
	Stage           string    `json:"stage"`
	SourceTopic     string    `json:"source_topic"`
	SourcePartition int32     `json:"source_partition"`
	Count           int64     `json:"count"`
	First           time.Time `json:"first"`
	Last            time.Time `json:"last"`
	// Message is the latest one's.
	Message string `json:"message"`
}

func (a *app) dlqLsCommand() *cobra.Command {
	var flags dlqFlags
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "Count dead letters by class, stage and input partition",
		Example: `  sluice dlq ls -c sluice.yaml
  sluice dlq ls -b localhost:9092 -t payments.dlq --from 2h --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.dlqLs(cmd, &flags) },
	}
	flags.register(cmd)
	return cmd
}

func (a *app) dlqLs(cmd *cobra.Command, flags *dlqFlags) error {
	d, err := a.openDeadLetters(cmd, flags)
	if err != nil {
		return err
	}
	defer d.client.Close()
	type key struct {
		topic, class, stage, source string
		partition                   int32
	}
	groups, total := map[key]*letterGroup{}, int64(0)
	err = d.each(cmd.Context(), func(_ *schemas.Record, l *deadLetter) error {
		k := key{l.Topic, l.Class, l.Stage, l.SourceTopic, l.SourcePartition}
		g := groups[k]
		if g == nil {
			g = &letterGroup{Topic: l.Topic, Class: l.Class, Stage: l.Stage, SourceTopic: l.SourceTopic, SourcePartition: l.SourcePartition, First: l.Time}
			groups[k] = g
		}
		g.Count, total = g.Count+1, total+1
		if !l.Time.Before(g.Last) {
			g.Last, g.Message = l.Time, l.Message
		}
		return nil
	})
	if err != nil {
		return err
	}
	list := make([]*letterGroup, 0, len(groups))
	for _, g := range groups {
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b *letterGroup) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Class, b.Class),
			cmp.Compare(a.Stage, b.Stage), cmp.Compare(a.SourceTopic, b.SourceTopic), cmp.Compare(a.SourcePartition, b.SourcePartition))
	})
	if flags.json {
		return printJSON(a.out, map[string]any{"total": total, "groups": list})
	}
	return printGroups(a.out, list, total)
}

func printGroups(out io.Writer, list []*letterGroup, total int64) error {
	w := &strings.Builder{}
	if len(list) > 0 {
		fmt.Fprintln(w, "COUNT\tCLASS\tSTAGE\tINPUT\tLAST\tTOPIC\tMESSAGE")
	}
	for _, g := range list {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s/%d\t%s\t%s\t%s\n", g.Count, g.Class, g.Stage, g.SourceTopic, g.SourcePartition,
			g.Last.Format(time.RFC3339), g.Topic, preview([]byte(g.Message), 80))
	}
	fmt.Fprintf(w, "%d dead letters\n", total)
	return printTable(out, w)
}
