package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// shelf is a bus that hands out what is on it, and keeps what is published.
type shelf struct {
	waiting   chan string
	published chan Message
	acked     chan string
}

func (s *shelf) Lane(ctx context.Context, _ string, take func(Delivery)) error {
	select {
	case body := <-s.waiting:
		take(Delivery{Body: []byte(body), Count: 1, Ack: func() { s.acked <- body }})
	case <-ctx.Done():
	}
	return nil
}

func (s *shelf) Publish(_ context.Context, message Message) error {
	s.published <- message
	return nil
}

func (s *shelf) Close() {}

func job(handler, inputs string, timeoutMs int) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":"1","source":"/test","type":"step.requested","tenant":"acme","data":{
		"task_id":"t","step":"s","attempt":2,"handler":%q,"inputs":{"context":%s,"results":{}},"timeout_ms":%d,
		"idempotency_key":"t/s","replyto":"stepbus.results.3","token":"secret","later":{}}}`, handler, inputs, timeoutMs)
}

type said struct {
	Event
	Said struct {
		Token, Code string
		Attempt     int
		Result      any
		Error       StepError
	} `json:"data"`
}

// answered gives what a worker says to a message.
func answered(t *testing.T, body string) (address string, event said) {
	t.Helper()
	bus := &shelf{make(chan string, 1), make(chan Message, 9), make(chan string, 9)}
	served := handlers()
	served["panic"] = func(context.Context, *Attempt) (any, error) { panic("at the disco") }
	served["wrong"] = func(context.Context, *Attempt) (any, error) { return nil, errors.New("no luck") }
	worker := &Worker{Bus: bus, Prefix: "stepbus", Name: "w", Handlers: served, Concurrency: 1, Drain: time.Second}
	stopping, stop := context.WithCancel(context.Background())
	bus.waiting <- body
	go worker.Run(stopping)
	message := <-bus.published
	if <-bus.acked != body {
		t.Fatal("expected the job to be acked")
	}
	stop()
	if err := json.Unmarshal(message.Body, &event); err != nil {
		t.Fatal(err)
	}
	return message.Address, event
}

func TestAJobIsAnsweredWhereAndAsItAsks(t *testing.T) {
	address, event := answered(t, job("conform.probe", `{"do":"echo","value":[1,"é",null]}`, 1000))
	if address != "stepbus.results.3" || event.Type != "step.completed" || event.Tenant != "acme" || event.CausationID != "1" {
		t.Fatal(address, event)
	}
	if event.Said.Token != "secret" || event.Said.Attempt != 2 || fmt.Sprint(event.Said.Result) != "map[echo:[1 é <nil>]]" {
		t.Fatal(event.Said)
	}
}

func TestAFailureSaysWhatItIs(t *testing.T) {
	for _, each := range []struct {
		handler, inputs, code string
		retryable             bool
	}{
		{"conform.probe", `{"do":"fail","code":"a.b","message":"m","retryable":true}`, "a.b", true},
		{"conform.probe", `{"do":"big","size":300000}`, "worker.result_too_large", false},
		{"conform.probe", `{"do":"sleep","seconds":60,"silent":true}`, "worker.timeout", true},
		{"conform.probe", `{"do":7}`, "worker.input_invalid", false},
		{"conform.probe", `{}`, "probe.unknown", false},
		{"nobody.serves", `{}`, "worker.handler_unknown", true},
		{"panic", `{}`, "Error", true},
		{"wrong", `{}`, "Error", true},
	} {
		_, event := answered(t, job(each.handler, each.inputs, 200))
		if found := event.Said.Error; event.Type != "step.failed" || found.Code != each.code || found.Retryable != each.retryable {
			t.Errorf("%s %s: expected %s, found %v", each.handler, each.inputs, each.code, found)
		}
	}
}

func TestWhatIsNoJobIsHandedOver(t *testing.T) {
	whole := job("conform.probe", `{}`, 1000)
	for body, code := range map[string]string{
		"{": "json.malformed", "\xff": "json.malformed", "[]": "message.invalid", "{}": "envelope.invalid",
		strings.Replace(whole, `"type":"step.requested"`, `"type":"task.failed"`, 1): "message.unknown_type",
		strings.Replace(whole, `"token":"secret"`, `"token":""`, 1):                  "message.missing",
		strings.Replace(whole, `"attempt":2`, `"attempt":"2"`, 1):                    "message.invalid",
		strings.Replace(whole, `"stepbus.results.3"`, `"stepbus.events"`, 1):         "message.replyto",
	} {
		address, event := answered(t, body)
		if address != "stepbus.results.0" || event.Type != "message.quarantined" || event.Said.Code != code {
			t.Errorf("%s: expected %s, found %s %+v", body, code, event.Type, event.Said)
		}
	}
}

func TestAnEffectIsHadOncePerKey(t *testing.T) {
	served := handlers()["conform.probe"]
	read, _ := readJob([]byte(job("conform.probe", `{"do":"effect"}`, 1000)), "stepbus.results.")
	for range 2 {
		result, _ := served(context.Background(), &Attempt{Job: read})
		if fmt.Sprint(result) != "map[effects:1]" {
			t.Fatal(result)
		}
	}
}

func TestTheReleasedExampleIsRead(t *testing.T) {
	body, err := os.ReadFile("../../contracts/stepbus/contracts/golden/messages/step.requested.v1.json")
	if err != nil {
		t.Fatal(err)
	}
	read, poison := readJob(body, "stepbus.results.")
	if poison != nil || read.Handler != "ecommerce.charge_card" || read.TimeoutMs != 30_000 {
		t.Fatal(read, poison)
	}
}
