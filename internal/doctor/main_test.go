package doctor_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets more cases of the matrix run at once than there are cores:
// they mostly wait.
func TestMain(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", "6")
	}
	os.Exit(m.Run())
}
