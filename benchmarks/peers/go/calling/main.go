// The standard library's client: so many goroutines, one call after the other each.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func cpu() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func call(client *http.Client, url string) error {
	answer, err := client.Get(url)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", answer.StatusCode)
	}
	_, err = io.ReadAll(answer.Body)
	return err
}

func turn(client *http.Client, url string, callers int, seconds float64) map[string]float64 {
	var calls atomic.Int64
	var callersDone sync.WaitGroup
	before, until := cpu(), time.Now().Add(time.Duration(seconds*1e9))
	for range callers {
		callersDone.Go(func() {
			for time.Now().Before(until) {
				if err := call(client, url); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				calls.Add(1)
			}
		})
	}
	callersDone.Wait()
	return map[string]float64{"calls": float64(calls.Load()), "cpu": cpu() - before}
}

func main() {
	url := "http://127.0.0.1:" + os.Args[1] + "/"
	callers, _ := strconv.Atoi(os.Args[2])
	transport := &http.Transport{MaxIdleConns: callers, MaxIdleConnsPerHost: callers}
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		seconds, _ := strconv.ParseFloat(orders.Text(), 64)
		json.NewEncoder(os.Stdout).Encode(turn(client, url, callers, seconds))
	}
}
