// Command faults runs fault campaigns on a real Kafka: two processes of a group,
// records coming in, and one kind of harm again and again. What came out is read by
// franz-go in read_committed and compared with what must. Each run leaves one JSON
// file in the work folder; a page is written from these. KAFKA_BROKERS names the
// broker; `make faults` starts one.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	c := &campaign{}
	kinds := flag.String("kinds", "kill,term,freeze,churn,cut,broker,steps,crash", "kinds of harm, each a run: "+strings.Join(kindNames(), ", "))
	seeds := flag.String("seeds", "1", "seeds, each a run of every kind: 1,2,7 or 1-10")
	deliveries := flag.String("delivery", exactlyOnce, "delivery levels: "+exactlyOnce+", "+atLeastOnce+", or both")
	sets := flag.String("set", "", "further settings of the service, path=value, separated by blanks")
	report := flag.Bool("report", false, "run nothing: only write the page of what the work folder holds")
	flag.BoolVar(&c.resume, "resume", false, "skip runs whose files are in the work folder")
	flag.StringVar(&c.work, "work", "bin/faults-runs", "folder of the runs' JSON files")
	flag.StringVar(&c.out, "out", "", "page to write from the work folder at the end (with -report: default stdout)")
	flag.IntVar(&c.records, "records", 100_000, "records of a run")
	flag.IntVar(&c.rate, "rate", 2500, "records a second; 0, for kinds that measure: half of what the members are found to sustain")
	flag.IntVar(&c.harms, "harms", 12, "how often a run is harmed, at least, where the kind's own times allow it")
	flag.IntVar(&c.poison, "poison", 997, "each n-th record cannot be decoded; 0 for none")
	flag.StringVar(&c.restart, "restart-broker", "", "shell command that kills the broker $NODE (empty: all) with SIGKILL and starts it again")
	flag.StringVar(&c.Bin, "bin", "bin/sluice", "the service binary")
	flag.StringVar(&c.failing, "failing-bin", "bin/sluice-failpoint", "the service built with the tag failpoint, for steps")
	flag.StringVar(&c.Zoo, "zoo", "pipeline/onnx/testdata/zoo", "folder of the model zoo")
	flag.Parse()
	c.sets = strings.Fields(*sets)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	if *report {
		err = c.page()
	} else {
		err = c.all(ctx, strings.Split(*kinds, ","), *seeds, strings.Split(*deliveries, ","))
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}
