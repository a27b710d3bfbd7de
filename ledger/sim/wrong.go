package sim

// mutant is a way to be wrong. The tests run each, and the simulator has to see it: so it is known that the simulator can fail.
type mutant uint8

const (
	right          mutant = iota
	ackEarly              // answers before the fsync
	showEarly             // shows a checkpoint before the fsync
	retrySync             // tries a failed fsync again, and believes the second
	forgetIDs             // applies without looking whether an id was seen
	forgetFailures        // forgets at a restart what failed
	noExpiry              // never ends a hold whose time has passed
	halfGroups            // lets the good part of a group stand
	amnesiac              // writes to a restored copy as if nothing was
	blind                 // does not look whether what it reads is sound
	trusting              // believes whatever the clock says
	litter                // leaves half a record behind when the disk is full
	loadOnce              // gives Apply the accounts that Keys names, and not those of the dues
	mutants
)

var mutantNames = [mutants]string{"right", "answers before the fsync", "shows a checkpoint before the fsync", "tries a failed fsync again", "forgets ids",
	"forgets failures", "never expires", "applies half a group", "ignores that it was restored", "reads without looking", "believes the clock",
	"leaves half a record", "loads too little"}

func (m mutant) String() string { return mutantNames[m] }
