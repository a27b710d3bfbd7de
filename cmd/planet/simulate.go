package main

import (
	"fmt"
	"strings"

	"planet/ledger/sim"
)

// ledgerSimulateCmd runs ledger/sim. It touches no node.
type ledgerSimulateCmd struct {
	Seed  uint64 `default:"1" help:"Which history; the same number gives the same one."`
	Steps int    `default:"1000" help:"How long: a step is an hour or so of simulated time."`
	JSON  bool   `help:"Print JSON."`
}

func (ledgerSimulateCmd) Help() string {
	return `Clients, some of them hostile, pay each other on a node whose disk loses, tears and forgets and whose clock jumps; after each write an auditor
reads the log and holds every promise against it. Nothing of this node is touched. docs/simulation.md says what is checked.

Example: planet ledger simulate --seed 7 --steps 1000`
}

// most bounds one simulation: it holds its whole history in memory.
const most = 100_000

func (cmd ledgerSimulateCmd) Run(c *app) error {
	if cmd.Steps < 1 || cmd.Steps > most {
		return usageError{fmt.Sprintf("--steps is %d: want 1 to %d", cmd.Steps, most)}
	}
	r, broken := sim.Run(cmd.Seed, cmd.Steps)
	if cmd.JSON {
		if err := c.json(r); err != nil {
			return err
		}
		return broken
	}
	c.say("%s", strings.TrimSuffix(r.String(), "\n"))
	if broken == nil {
		c.say("Every promise held.")
	}
	return broken
}
