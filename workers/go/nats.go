package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// natsBus is NATS JetStream: a durable pull consumer for each queue, the same for workers in all languages.
type natsBus struct {
	connection *nats.Conn
	stream     jetstream.JetStream
	prefix     string
}

func connectNats(url, prefix, name string) (Bus, error) {
	connection, err := nats.Connect(url, nats.Name(name), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true))
	if err != nil {
		return nil, err
	}
	stream, err := jetstream.New(connection)
	return &natsBus{connection, stream, prefix}, err
}

func (b *natsBus) Lane(ctx context.Context, queue string, take func(Delivery)) error {
	consumer, err := b.consumer(ctx, queue)
	if err != nil {
		return err
	}
	every := consumer.CachedInfo().Config.AckWait / 3
	for ctx.Err() == nil {
		message, err := consumer.Next(jetstream.FetchMaxWait(time.Second))
		if errors.Is(err, nats.ErrTimeout) {
			continue
		}
		if err != nil {
			return err
		}
		about, err := message.Metadata()
		if err != nil {
			return err
		}
		take(Delivery{
			Body:        message.Data(),
			Count:       int(about.NumDelivered),
			Ack:         func() { _ = message.Ack() },
			GiveBack:    func(delay time.Duration) { _ = message.NakWithDelay(delay) },
			Extend:      func() { _ = message.InProgress() },
			ExtendEvery: every,
		})
	}
	return nil
}

// consumer creates the queue's consumer, or takes the one that is there as it is.
func (b *natsBus) consumer(ctx context.Context, queue string) (jetstream.Consumer, error) {
	stream, name := strings.ToUpper(b.prefix)+"_JOBS", strings.ReplaceAll(queue, ".", "=")
	consumer, err := b.stream.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
		Name: name, Durable: name, FilterSubject: b.prefix + ".jobs." + queue,
		DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: 30 * time.Second, MaxDeliver: -1, MaxAckPending: 1000,
	})
	if errors.Is(err, jetstream.ErrConsumerExists) {
		return b.stream.Consumer(ctx, stream, name)
	}
	return consumer, err
}

func (b *natsBus) Publish(ctx context.Context, message Message) error {
	sent := nats.NewMsg(message.Address)
	sent.Data = message.Body
	sent.Header.Set("content-type", "application/cloudevents+json")
	_, err := b.stream.PublishMsg(ctx, sent, jetstream.WithMsgID(message.ID))
	return err
}

func (b *natsBus) Close() {
	_ = b.connection.FlushTimeout(confirmWithin)
	b.connection.Close()
}
