package main

import (
	"math/rand/v2"

	"github.com/sluice-ml/sluice/deploy/bench/lab"
)

// campaign is one run's surroundings.
type campaign struct {
	*lab.Lab
	records, rounds int
	out, restart    string
	seed            uint64
	random          *rand.Rand
}

func (l *campaign) open() error {
	l.random = rand.New(rand.NewPCG(l.seed, 0))
	return l.Open()
}
