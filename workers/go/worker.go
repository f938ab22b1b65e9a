// A stepbus worker in Go: it knows the contract and a plain client of its broker, nothing of stepbus.
//
// A job is acked only when the broker has confirmed the answer. Whatever goes wrong before that, the job is delivered
// again, here or to another worker: so an effect may happen twice, and is to be keyed by the job's idempotency key.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"maps"
	"slices"
	"sync"
	"time"
)

const (
	maxDeliveries = 10 // a job that came back more often may be what kills its workers
	confirmWithin = 5 * time.Second
)

// Handler does the work of a step. The context ends when the attempt's time is over or the worker stops.
type Handler func(ctx context.Context, attempt *Attempt) (any, error)

// Attempt is a job in hand. Heartbeat says that it is alive, and starts its time anew.
type Attempt struct {
	*Job
	Heartbeat func(progress any)
}

// Delivery is a message of a queue, and what its broker can be told of it. What a broker has no word for is nil.
type Delivery struct {
	Body        []byte
	Count       int
	Ack         func()
	GiveBack    func(delay time.Duration)
	Extend      func()
	ExtendEvery time.Duration
}

// Bus is a broker.
type Bus interface {
	// Lane takes one message after the other until the context ends. Any error is mended by calling it again.
	Lane(ctx context.Context, queue string, take func(Delivery)) error
	// Publish returns when the broker has confirmed the message.
	Publish(ctx context.Context, message Message) error
	Close()
}

// Worker serves each handler on the queue of the same name.
type Worker struct {
	Bus          Bus
	Prefix, Name string
	Handlers     map[string]Handler
	Concurrency  int // jobs of each queue at once
	Drain        time.Duration
	Announce     bool

	mutex   sync.Mutex
	running map[string][]Delivery // of each attempt in hand, all its deliveries
}

// Run serves until the context ends; then what runs may finish within the drain time, and the rest is given back.
func (w *Worker) Run(stopping context.Context) {
	w.running = map[string][]Delivery{}
	working, giveUp := context.WithCancel(context.WithoutCancel(stopping))
	var lanes sync.WaitGroup
	for queue := range w.Handlers {
		for range w.Concurrency {
			lanes.Go(func() { w.lane(stopping, working, queue) })
		}
	}
	names := slices.Sorted(maps.Keys(w.Handlers))
	if w.Announce {
		go w.confirmed(stopping, announcement(w.Prefix, w.Name, names))
	}
	log.Printf("worker %s serves %v", w.Name, names)
	<-stopping.Done()
	drain := time.AfterFunc(w.Drain, giveUp)
	lanes.Wait()
	drain.Stop()
	giveUp()
	w.Bus.Close()
	log.Printf("worker %s stopped", w.Name)
}

func (w *Worker) lane(stopping, working context.Context, queue string) {
	for stopping.Err() == nil {
		err := w.Bus.Lane(stopping, queue, func(delivery Delivery) { w.take(stopping, working, queue, delivery) })
		if err != nil && stopping.Err() == nil {
			log.Printf("queue %s: %v; trying again", queue, err)
			sleep(stopping, time.Second)
		}
	}
}

func (w *Worker) take(stopping, working context.Context, queue string, delivery Delivery) {
	if stopping.Err() != nil {
		giveBack(delivery, 0)
		return
	}
	job, poison := readJob(delivery.Body, w.Prefix+".results.")
	if poison != nil {
		log.Printf("queue %s: a message is no job: %s at %q: %s", queue, poison.Code, poison.Pointer, poison.Reason)
		if w.confirmed(working, quarantined(w.Prefix, w.Name, queue, delivery.Body, poison)) {
			delivery.Ack()
		}
		return
	}
	handler, isServed := w.Handlers[job.Handler]
	if !isServed && delivery.GiveBack != nil && delivery.Count < maxDeliveries {
		giveBack(delivery, min(time.Second<<(delivery.Count-1), 30*time.Second))
		return
	}
	key := fmt.Sprintf("%s|%s|%d", job.TaskID, job.Step, job.Attempt)
	if !w.begin(key, delivery) {
		return // it is in hand already, and this delivery is acked with the other
	}
	isAnswered := false
	defer func() { w.end(key, isAnswered) }()
	result, failure := any(nil), (*StepError)(nil)
	switch {
	case !isServed:
		failure = &StepError{Code: "worker.handler_unknown", Message: "expected a worker of " + job.Handler, Retryable: true}
	case delivery.Count > maxDeliveries:
		failure = &StepError{Code: "worker.redelivered", Message: "delivered often and never answered", Retryable: true}
	default:
		result, failure = w.attempt(working, handler, job, delivery)
	}
	isAnswered = working.Err() == nil && w.confirmed(working, ending(job, w.Name, result, failure))
}

// attempt runs a handler for as long as the attempt may take. What it gives after that is dropped.
func (w *Worker) attempt(working context.Context, handler Handler, job *Job, delivery Delivery) (any, *StepError) {
	ctx, cancel := context.WithCancel(working)
	defer cancel()
	timeout := time.Duration(min(job.TimeoutMs, int64(365*24*time.Hour/time.Millisecond))) * time.Millisecond
	timer := time.NewTimer(timeout)
	attempt := &Attempt{job, func(progress any) {
		message, err := answer(job, w.Name, "step.heartbeat", map[string]any{"progress": progress})
		if err == nil && ctx.Err() == nil && w.publish(ctx, message) == nil {
			timer.Reset(timeout)
		}
	}}
	done := make(chan func() (any, *StepError), 1)
	go func() {
		result, err := call(handler, ctx, attempt)
		done <- func() (any, *StepError) { return result, stepError(err) }
	}()
	var extending <-chan time.Time // nobody else is to get the job meanwhile; it ends with the attempt
	if delivery.Extend != nil {
		ticker := time.NewTicker(delivery.ExtendEvery)
		defer ticker.Stop()
		extending = ticker.C
	}
	for {
		select {
		case outcome := <-done:
			return outcome()
		case <-timer.C:
			return nil, &StepError{Code: "worker.timeout", Message: fmt.Sprintf("expected an end within %v", timeout), Retryable: true}
		case <-working.Done():
			return nil, nil
		case <-extending:
			delivery.Extend()
		}
	}
}

// call gives a panic as an error: it ends the attempt, not the worker.
func call(handler Handler, ctx context.Context, attempt *Attempt) (result any, err error) {
	defer func() {
		if found := recover(); found != nil {
			err = fmt.Errorf("panic: %v", found)
		}
	}()
	return handler(ctx, attempt)
}

func stepError(err error) *StepError {
	var said *StepError
	if err == nil || errors.As(err, &said) {
		return said
	}
	if wrong := new(json.UnmarshalTypeError); errors.As(err, &wrong) {
		return &StepError{Code: "worker.input_invalid", Message: err.Error()}
	}
	return &StepError{Code: "Error", Message: err.Error(), Retryable: true}
}

func (w *Worker) begin(key string, delivery Delivery) bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.running[key] = append(w.running[key], delivery)
	return len(w.running[key]) == 1
}

func (w *Worker) end(key string, isAnswered bool) {
	w.mutex.Lock()
	deliveries := w.running[key]
	delete(w.running, key)
	w.mutex.Unlock()
	for _, delivery := range deliveries {
		if isAnswered {
			delivery.Ack()
		} else {
			giveBack(delivery, 0)
		}
	}
}

// confirmed publishes until the broker has confirmed; false if the context ended before.
func (w *Worker) confirmed(ctx context.Context, message Message) bool {
	for pause := 100 * time.Millisecond; ctx.Err() == nil; pause = min(pause*2, 2*time.Second) {
		err := w.publish(ctx, message)
		if err == nil {
			return true
		}
		log.Printf("no confirm from %s: %v; sending again", message.Address, err)
		sleep(ctx, pause)
	}
	return false
}

func (w *Worker) publish(ctx context.Context, message Message) error {
	ctx, cancel := context.WithTimeout(ctx, confirmWithin)
	defer cancel()
	return w.Bus.Publish(ctx, message)
}

func giveBack(delivery Delivery, delay time.Duration) {
	if delivery.GiveBack != nil {
		delivery.GiveBack(delay)
	}
}

func sleep(ctx context.Context, duration time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(duration):
	}
}
