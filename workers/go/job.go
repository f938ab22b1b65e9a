package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxMessageBytes = 262_144
	keptBytes       = 700 * 1024 // of a message that is no job; four thirds of it as base64, which brokers take
	contractVersion = 1
)

// Job is one attempt of one step, as step.requested says it. Fields that are not here are let be.
type Job struct {
	TaskID         string `json:"task_id"`
	Step           string `json:"step"`
	Attempt        int    `json:"attempt"`
	Handler        string `json:"handler"`
	Inputs         Inputs `json:"inputs"`
	TimeoutMs      int64  `json:"timeout_ms"`
	IdempotencyKey string `json:"idempotency_key"`
	ReplyTo        string `json:"replyto"`
	Token          string `json:"token"`
	envelope       Event
}

// Inputs are the task's context and the result of each step that this one depends on, as they came.
type Inputs struct {
	Context map[string]json.RawMessage `json:"context"`
	Results map[string]json.RawMessage `json:"results"`
}

// Event is a CloudEvent 1.0 in JSON.
type Event struct {
	SpecVersion     string          `json:"specversion"`
	ID              string          `json:"id"`
	Source          string          `json:"source"`
	Type            string          `json:"type"`
	Time            string          `json:"time,omitempty"`
	DataContentType string          `json:"datacontenttype,omitempty"`
	DataSchema      string          `json:"dataschema,omitempty"`
	PartitionKey    string          `json:"partitionkey,omitempty"`
	CorrelationID   string          `json:"correlationid,omitempty"`
	CausationID     string          `json:"causationid,omitempty"`
	Tenant          string          `json:"tenant,omitempty"`
	TraceParent     string          `json:"traceparent,omitempty"`
	Data            json.RawMessage `json:"data"`
}

// StepError is how a handler says that it failed. Any other error counts as one that another attempt may mend.
type StepError struct {
	Code       string   `json:"code"`
	Message    string   `json:"message"`
	Retryable  bool     `json:"retryable"`
	RetryAfter *float64 `json:"retry_after,omitempty"` // seconds
}

func (e *StepError) Error() string { return e.Code + ": " + e.Message }

// Poison is a message that is no job. It will be none however often it is delivered.
type Poison struct{ Code, Pointer, Reason string }

func readJob(body []byte, results string) (*Job, *Poison) {
	job := &Job{}
	event := &job.envelope
	if !utf8.Valid(body) || !json.Valid(body) {
		return nil, &Poison{"json.malformed", "", "expected JSON in UTF-8"}
	}
	if err := json.Unmarshal(body, event); err != nil {
		return nil, poisonOf(err, "")
	}
	if event.SpecVersion != "1.0" || event.ID == "" {
		return nil, &Poison{"envelope.invalid", "/specversion", "expected a CloudEvent of specversion 1.0 with an id"}
	}
	if event.Type != "step.requested" {
		return nil, &Poison{"message.unknown_type", "/type", "expected step.requested, found " + event.Type}
	}
	if len(event.Data) == 0 {
		return nil, &Poison{"message.missing", "/data", "expected data, found none"}
	}
	if err := json.Unmarshal(event.Data, job); err != nil {
		return nil, poisonOf(err, "/data")
	}
	for _, field := range []struct {
		name    string
		isThere bool
	}{
		{"task_id", job.TaskID != ""}, {"step", job.Step != ""}, {"attempt", job.Attempt > 0}, {"handler", job.Handler != ""},
		{"inputs/context", job.Inputs.Context != nil}, {"inputs/results", job.Inputs.Results != nil},
		{"timeout_ms", job.TimeoutMs > 0}, {"idempotency_key", job.IdempotencyKey != ""}, {"token", job.Token != ""},
	} {
		if !field.isThere {
			return nil, &Poison{"message.missing", "/data/" + field.name, "expected a value, found none"}
		}
	}
	if !strings.HasPrefix(job.ReplyTo, results) { // the token is for coordinators only
		return nil, &Poison{"message.replyto", "/data/replyto", "expected an address in " + results}
	}
	return job, nil
}

func poisonOf(err error, pointer string) *Poison {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		pointer += "/" + strings.ReplaceAll(wrong.Field, ".", "/")
	}
	return &Poison{"message.invalid", pointer, err.Error()}
}

// Message is what is sent: under its own id however often it is sent.
type Message struct {
	Address, ID, Key string
	Body             []byte
}

// answer gives a message about a job to its replyto; said is what the type has beside the job's own words.
func answer(job *Job, worker, kind string, said map[string]any) (Message, error) {
	data := map[string]any{"task_id": job.TaskID, "step": job.Step, "attempt": job.Attempt, "token": job.Token, "worker": worker}
	for name, value := range said {
		data[name] = value
	}
	of := job.envelope
	event := Event{Type: kind, PartitionKey: job.TaskID, CorrelationID: of.CorrelationID, CausationID: of.ID,
		Tenant: of.Tenant, TraceParent: of.TraceParent}
	return encode(event, job.ReplyTo, worker, data)
}

// ending gives the answer that ends a job. A result that no message can carry is a failure for good.
func ending(job *Job, worker string, result any, failure *StepError) Message {
	message, err := answer(job, worker, "step.completed", map[string]any{"result": result})
	if failure == nil && err != nil {
		failure = &StepError{Code: "worker.result_invalid", Message: err.Error()}
	}
	if failure == nil && len(message.Body) > maxMessageBytes {
		reason := fmt.Sprintf("expected at most %d bytes, found %d", maxMessageBytes, len(message.Body))
		failure = &StepError{Code: "worker.result_too_large", Message: reason}
	}
	if failure != nil {
		failure.Message = strings.ToValidUTF8(failure.Message[:min(len(failure.Message), 4096)], "")
		message, _ = answer(job, worker, "step.failed", map[string]any{"error": failure})
	}
	return message
}

// quarantined asks the coordinators to keep a message that nobody can act on, for an operator to see.
func quarantined(prefix, worker, queue string, body []byte, poison *Poison) Message {
	kept := body[:min(len(body), keptBytes)]
	data := map[string]any{"message_id": uuid(), "channel": "jobs." + queue, "code": poison.Code,
		"pointer": poison.Pointer, "reason": poison.Reason, "body": kept} // []byte becomes base64
	message, _ := encode(Event{Type: "message.quarantined"}, prefix+".results.0", worker, data)
	return message
}

// announcement says what a worker serves, so that mistakes are found before a task runs into them.
func announcement(prefix, worker string, handlers []string) Message {
	served := []map[string]any{}
	for _, name := range handlers {
		served = append(served, map[string]any{"handler": name, "contract": contractVersion})
	}
	data := map[string]any{"worker": worker, "handlers": served}
	message, _ := encode(Event{Type: "worker.announced", PartitionKey: worker}, prefix+".tasks", worker, data)
	return message
}

func encode(event Event, address, worker string, data map[string]any) (Message, error) {
	event.SpecVersion, event.ID, event.Source = "1.0", uuid(), "/stepbus/worker"
	event.Time, event.DataContentType = time.Now().UTC().Format(time.RFC3339Nano), "application/json"
	said, err := json.Marshal(data)
	event.Data = said
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err == nil {
		err = encoder.Encode(event)
	}
	return Message{Address: address, ID: event.ID, Key: event.PartitionKey, Body: bytes.TrimSpace(body.Bytes())}, err
}

func uuid() string {
	var b [16]byte
	_, _ = rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
