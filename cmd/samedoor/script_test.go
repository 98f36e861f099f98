package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/samedoor/samedoor/internal/cert/certtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"samedoor": main})
}

// TestScript types what users type; the scripts are in testdata/script.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			path, err := exec.LookPath("samedoor") // testscript has put it into PATH
			if err != nil {
				return err
			}
			e.Setenv("SAMEDOOR", path)
			e.Setenv("PORTS", fmt.Sprint(20000+16*(os.Getpid()%700))) // for --worker-port
			certtest.Replace(t, e.WorkDir+"/cert.pem", e.WorkDir+"/key.pem", "127.0.0.1", time.Now().Add(time.Hour))
			certtest.Replace(t, e.WorkDir+"/old-cert.pem", e.WorkDir+"/old-key.pem", "127.0.0.1", time.Now().Add(-time.Hour))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "gone": gone, "occupy": occupy, "serve": serve,
		},
	})
}

// exits CODE command… runs a command that must end with that code and say why
// in one line on standard error.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	var stderr bytes.Buffer
	cmd := command(ts, args[1:]...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if got := fmt.Sprint(cmd.ProcessState.ExitCode()); got != args[0] {
		ts.Fatalf("exit code %s, want %s (%v): %s%s", got, args[0], err, out, &stderr)
	}
	if n := strings.Count(stderr.String(), "\n"); args[0] != "0" && n != 1 {
		ts.Fatalf("%d lines on standard error, want one:\n%s", n, &stderr)
	}
	write(ts, "stdout", string(out))
	write(ts, "stderr", stderr.String())
}

// gone PATTERN wants no file of such a name.
func gone(ts *testscript.TestScript, _ bool, args []string) {
	left, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(left) > 0 {
		ts.Fatalf("left: %v", left)
	}
}

// occupy NAME listens on a free loopback port and puts host:port into $NAME.
func occupy(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], l.Addr().String())
	_, port, _ := net.SplitHostPort(l.Addr().String())
	ts.Setenv(args[0]+"_PORT", port)
}

// serve args… runs samedoor until it is ready, stops it as a user does, and
// leaves its output in the files stdout and stderr.
func serve(ts *testscript.TestScript, _ bool, args []string) {
	cmd := command(ts, append([]string{"samedoor"}, args...)...)
	var stdout, stderr bytes.Buffer
	pr, pw, err := os.Pipe()
	ts.Check(err)
	cmd.Stdout, cmd.Stderr = pw, &stderr
	ts.Check(cmd.Start())
	pw.Close()
	first := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for once := true; ; once = false {
			n, err := pr.Read(buf)
			stdout.Write(buf[:n])
			if once {
				close(first)
			}
			if err != nil {
				return
			}
		}
	}()
	select {
	case <-first:
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		ts.Fatalf("not ready: %s", &stderr)
	}
	ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	err = cmd.Wait()
	<-done
	if err != nil {
		ts.Fatalf("%v: %s", err, &stderr)
	}
	write(ts, "stdout", stdout.String())
	write(ts, "stderr", stderr.String())
}

func command(ts *testscript.TestScript, args ...string) *exec.Cmd {
	path := ts.Getenv("PATH")
	for _, dir := range strings.Split(path, ":") {
		if _, err := os.Stat(dir + "/" + args[0]); err == nil {
			args[0] = dir + "/" + args[0]
			break
		}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "PATH="+path, "TMPDIR="+ts.MkAbs("."))
	for _, name := range strings.Fields(ts.Getenv("PASS")) { // variables for the command
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	return cmd
}

func write(ts *testscript.TestScript, name, text string) {
	ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o666))
}
