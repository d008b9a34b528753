package machine

// AddUsage and CountRows are for tests.
var (
	AddUsage  = addUsage
	CountRows = countRows
)
