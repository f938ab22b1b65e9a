package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
)

// The warehouse and the post room of examples/order_fulfilment, and the probe that the conformance kit asks for. Every
// effect's id is made of the idempotency key of its step: what was done once is found again, not done twice.
func handlers() map[string]Handler {
	return map[string]Handler{
		"orders.reserve_inventory": reserveInventory,
		"orders.create_shipment":   createShipment,
		"orders.send_confirmation": sendConfirmation,
		"conform.probe":            (&probe{effects: map[string]int{}}).do,
	}
}

const busyCarrier = "hermod"

type order struct {
	OrderID  string `json:"order_id"`
	Customer struct {
		Email string `json:"email"`
	} `json:"customer"`
	Items []struct {
		Quantity int `json:"quantity"`
	} `json:"items"`
	Delivery struct {
		Country string `json:"country"`
		Carrier string `json:"carrier"`
	} `json:"delivery"`
}

func reserveInventory(_ context.Context, attempt *Attempt) (any, error) {
	order, err := inputs[order](attempt)
	units := 0
	for _, item := range order.Items {
		units += item.Quantity
	}
	return map[string]any{"reservation": idOf("res", attempt), "units": units}, err
}

// createShipment finds one carrier always busy when first asked, and says when to ask again.
func createShipment(_ context.Context, attempt *Attempt) (any, error) {
	order, err := inputs[order](attempt)
	if err == nil && order.Delivery.Carrier == busyCarrier && attempt.Attempt == 1 {
		after := 0.3
		return nil, &StepError{"carrier.busy", busyCarrier + " takes no booking now", true, &after}
	}
	label := order.Delivery.Country + "-" + order.OrderID
	return map[string]any{"shipment": idOf("shp", attempt), "carrier": order.Delivery.Carrier, "label": label}, err
}

func sendConfirmation(_ context.Context, attempt *Attempt) (any, error) {
	order, err := inputs[order](attempt)
	return map[string]any{"message": idOf("msg", attempt), "sent_to": order.Customer.Email}, err
}

// inputs gives the task's context as a type; one that does not fit is a permanent failure.
func inputs[T any](attempt *Attempt) (T, error) {
	var value T
	text, err := json.Marshal(attempt.Inputs.Context)
	if err == nil {
		err = json.Unmarshal(text, &value)
	}
	return value, err
}

func idOf(kind string, attempt *Attempt) string {
	sum := sha256.Sum256([]byte(attempt.IdempotencyKey))
	return fmt.Sprintf("%s-%x", kind, sum[:6])
}

type probe struct {
	mutex   sync.Mutex
	effects map[string]int
}

type wish struct {
	Do         string          `json:"do"`
	Value      json.RawMessage `json:"value"`
	Seconds    json.Number     `json:"seconds"`
	Silent     bool            `json:"silent"`
	Code       string          `json:"code"`
	Message    string          `json:"message"`
	Retryable  bool            `json:"retryable"`
	RetryAfter *float64        `json:"retry_after"`
	Size       int             `json:"size"`
}

func (p *probe) do(ctx context.Context, attempt *Attempt) (any, error) {
	wish, err := inputs[wish](attempt)
	if err != nil {
		return nil, err
	}
	switch wish.Do {
	case "echo":
		return map[string]any{"echo": wish.Value}, nil
	case "sleep":
		return work(ctx, attempt, wish)
	case "fail":
		return nil, &StepError{wish.Code, wish.Message, wish.Retryable, wish.RetryAfter}
	case "big":
		return map[string]any{"blob": strings.Repeat("x", max(wish.Size, 0))}, nil
	case "effect":
		return map[string]any{"effects": p.once(attempt.IdempotencyKey)}, nil
	}
	return nil, &StepError{Code: "probe.unknown", Message: "expected echo, sleep, fail, big or effect, found " + wish.Do}
}

// work takes its time, and says meanwhile that it is alive, unless it is to be silent.
func work(ctx context.Context, attempt *Attempt, wish wish) (any, error) {
	seconds, err := wish.Seconds.Float64()
	if err != nil {
		return nil, &StepError{Code: "probe.invalid", Message: "expected a number of seconds"}
	}
	end := time.After(time.Duration(seconds * float64(time.Second)))
	beat := time.NewTicker(min(time.Duration(attempt.TimeoutMs)*time.Millisecond/3, time.Second))
	defer beat.Stop()
	for {
		select {
		case <-end:
			return map[string]any{"slept": wish.Seconds}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-beat.C:
			if !wish.Silent {
				attempt.Heartbeat(nil)
			}
		}
	}
}

// once has the effect of a key if nobody had it yet, and gives how often it was had. A real one is kept in a database.
func (p *probe) once(key string) int {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if p.effects[key] == 0 {
		p.effects[key]++
	}
	return p.effects[key]
}
