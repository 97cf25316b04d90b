package main

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// each calls f for 0 to n-1, width of them at once, and returns the first few errors.
func each(n, width int, f func(i int) error) error {
	slots := make(chan struct{}, width)
	var mu sync.Mutex
	var problems []error
	failed := 0
	for i := range n {
		slots <- struct{}{}
		go func() {
			defer func() { <-slots }()
			if err := f(i); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if failed++; failed <= 3 {
					problems = append(problems, fmt.Errorf("number %d: %w", i, err))
				}
			}
		}()
	}
	for range width {
		slots <- struct{}{}
	}
	if failed > len(problems) {
		problems = append(problems, fmt.Errorf("and %d more", failed-len(problems)))
	}
	return errors.Join(problems...)
}

// forTime calls f repeatedly, on width goroutines, for d.
func forTime(d time.Duration, width int, f func(i int) error) error {
	end := time.Now().Add(d)
	return each(width, width, func(i int) error {
		for time.Now().Before(end) {
			if err := f(i); err != nil {
				return err
			}
		}
		return nil
	})
}

// until calls try until it returns nil, at most for d.
func until(d time.Duration, try func() error) error {
	end := time.Now().Add(d)
	for {
		err := try()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("not within %v: %w", d, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
