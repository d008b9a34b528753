package machine

// AddUsage and CountRows are for tests.
var (
	AddUsage  = addUsage
	CountRows = countRows
)

// StepsMost is how many rows of prefixes that hold many a page steps through, if all of its prefixes do.
const StepsMost = narrowRows * wideMost
