package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"cyberdb-fast/bench/harness"
)

// attack is one running scenario.
type attack struct {
	*ground
	*scenario
	srv     *harness.Server
	encrypt bool
	before  usage
	control *conn // requests INFO

	mu    sync.Mutex
	conns []*conn // all opened ones; guarded by mu
}

func (a *attack) play() (notes string, err error) {
	start := time.Now()
	a.srv.ForgetPeak()
	if a.before, err = a.usage(); err != nil {
		return "", err
	}
	watch, err := a.summon()
	if err != nil {
		return "", err
	}
	problem := a.run(a)
	peak, err := a.usage()
	problem = errors.Join(problem, err)
	a.closeAll()
	seen, err := watch()
	problem = errors.Join(problem, err, a.verdict(&seen, &peak))
	ended := time.Now()
	after, err := a.comesBack()
	problem = errors.Join(problem, err)
	_ = a.control.Close()
	stopping := time.Now()
	if err := a.srv.Stop(defaultTimeout); err != nil {
		problem = errors.Join(problem, fmt.Errorf("the server's end: %w", err))
	}
	if ending := time.Since(stopping); a.end > 0 && ending > a.scaled(a.end) {
		problem = errors.Join(
			problem,
			fmt.Errorf("the server's end took %v, the bound is %v", ending, a.scaled(a.end)),
		)
	}
	problem = errors.Join(problem, a.readLog(time.Since(start)))
	return fmt.Sprintf(
		"%d requests, p50 %s, p99 %s, p99.9 %s, slowest %s; %d logins, slowest %s; peak %d MiB, %d MiB after %s",
		seen.Requests,
		millis(seen.Median),
		millis(seen.P99),
		millis(seen.P999),
		millis(seen.SlowestRequest),
		seen.Logins,
		millis(seen.SlowestLogin),
		peak.Peak>>20,
		after.Resident>>20,
		time.Since(ended).Round(10*time.Millisecond),
	), problem
}

// scaled returns d, or more if the server is slow by design.
func (a *attack) scaled(d time.Duration) time.Duration {
	if a.race {
		return raceSlowdown * d
	}
	return d
}

// duration returns how long a scenario of limited time lasts: d, unless a flag says otherwise.
func (a *attack) duration(d time.Duration) time.Duration {
	if a.lasts > 0 {
		return a.lasts
	}
	return d
}

// summon starts a witness. The function that it returns ends the witness and returns its testimony.
func (a *attack) summon() (watch func() (testimony, error), err error) {
	cmd := exec.Command("/proc/self/exe", witnessRole)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var trouble strings.Builder
	cmd.Stderr = &trouble
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(in).Encode(summons{a.reachable(), a.key, a.encrypt, a.noMemory}); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); err != nil {
		_ = cmd.Wait()
		return nil, fmt.Errorf("the witness: %q, %w: %s", line, err, trouble.String())
	}
	return func() (seen testimony, err error) {
		_ = in.Close()
		err = json.NewDecoder(lines).Decode(&seen)
		_, _ = io.Copy(io.Discard, lines)
		return seen, errors.Join(err, cmd.Wait())
	}, nil
}

// reachable returns the server's TCP address for clients on this machine.
func (a *attack) reachable() string {
	return strings.NewReplacer("[::]", "127.0.0.1", "0.0.0.0", "127.0.0.1").Replace(a.srv.Addr())
}

// rand returns the source of the i-th abuser's random choices.
func (a *attack) rand(i int) *rand.Rand {
	name := fnv.New64a()
	fmt.Fprint(name, a.name, a.encrypt)
	return rand.New(rand.NewPCG(a.seed^name.Sum64(), uint64(i)))
}

// connect opens a connection and sends nothing.
func (a *attack) connect() (*conn, error) { return a.connectTo("tcp", a.reachable(), "") }

// connectFrom is connect with an address of this machine, or of another one. It goes to the
// server's address of the same kind.
func (a *attack) connectFrom(from string) (*conn, error) {
	to := a.reachable()
	if strings.Contains(from, ":") {
		to = strings.Replace(to, "127.0.0.1", "[::1]", 1)
	}
	return a.connectTo("tcp", to, from)
}

func (a *attack) connectTo(network, addr, from string) (*conn, error) {
	c, err := dial(network, addr, from, a.key, a.encrypt)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.conns = append(a.conns, c)
	return c, nil
}

// enter opens a connection and authenticates.
func (a *attack) enter() (*conn, error) {
	c, err := a.connect()
	if err != nil {
		return nil, err
	}
	return c, c.login()
}

// closeAll closes all connections but the one for INFO.
func (a *attack) closeAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.conns {
		if c != a.control {
			_ = c.Close()
		}
	}
	a.conns = nil
}
