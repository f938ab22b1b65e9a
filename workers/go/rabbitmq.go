package main

import (
	"context"
	"errors"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// rabbitBus is RabbitMQ: a queue of the job's name, publisher confirms, manual acks. The coordinator makes the queues.
type rabbitBus struct {
	url, prefix string
	mutex       sync.Mutex // of the three below, and of publishing: one message waits for its confirm at a time
	connection  *amqp.Connection
	answers     *amqp.Channel
	returned    chan amqp.Return
}

func connectRabbitMQ(url, prefix, _ string) (Bus, error) {
	bus := &rabbitBus{url: url, prefix: prefix}
	_, err := bus.session()
	return bus, err
}

// session gives the connection; a lost one is made anew.
func (b *rabbitBus) session() (*amqp.Connection, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.connected()
}

func (b *rabbitBus) connected() (*amqp.Connection, error) {
	if b.connection != nil && !b.connection.IsClosed() && !b.answers.IsClosed() {
		return b.connection, nil
	}
	if b.connection != nil {
		_ = b.connection.Close()
	}
	connection, err := amqp.Dial(b.url)
	if err != nil {
		return nil, err
	}
	answers, err := connection.Channel()
	if err == nil {
		err = answers.Confirm(false)
	}
	if err != nil {
		_ = connection.Close()
		return nil, err
	}
	b.connection, b.answers = connection, answers
	b.returned = answers.NotifyReturn(make(chan amqp.Return, 1))
	return connection, nil
}

// Lane is a channel that has one message out at a time. What it has not taken when it closes goes back by itself.
func (b *rabbitBus) Lane(ctx context.Context, queue string, take func(Delivery)) error {
	connection, err := b.session()
	if err != nil {
		return err
	}
	channel, err := connection.Channel()
	if err != nil {
		return err
	}
	defer func() { _ = channel.Close() }()
	name := b.prefix + ".jobs." + queue
	if err := channel.Qos(1, 0, false); err != nil {
		return err
	}
	if _, err := channel.QueueDeclarePassive(name, true, false, false, false, nil); err != nil {
		return err
	}
	messages, err := channel.Consume(name, "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case message, isOpen := <-messages:
			if !isOpen {
				return errors.New("the channel was closed")
			}
			take(delivered(ctx, message))
		}
	}
}

func delivered(ctx context.Context, message amqp.Delivery) Delivery {
	before, _ := message.Headers["x-delivery-count"].(int64)
	return Delivery{
		Body:  message.Body,
		Count: int(before) + 1,
		Ack:   func() { _ = message.Ack(false) },
		GiveBack: func(delay time.Duration) { // it stays out meanwhile: RabbitMQ has no delay
			sleep(ctx, min(delay, time.Second))
			_ = message.Nack(false, true)
		},
	}
}

func (b *rabbitBus) Publish(ctx context.Context, message Message) error {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if _, err := b.connected(); err != nil {
		return err
	}
	confirm, err := b.answers.PublishWithDeferredConfirmWithContext(ctx, "", message.Address, true, false, amqp.Publishing{
		MessageId: message.ID, ContentType: "application/cloudevents+json", DeliveryMode: amqp.Persistent, Body: message.Body,
	})
	if err != nil {
		return err
	}
	isTaken, err := confirm.WaitContext(ctx)
	if err != nil {
		_ = b.answers.Close() // a late confirm is not to be taken for that of another message
		return err
	}
	select {
	case <-b.returned:
		return errors.New("there is no such queue")
	default:
	}
	if !isTaken {
		return errors.New("the queue did not take it")
	}
	return nil
}

func (b *rabbitBus) Close() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.connection != nil {
		_ = b.connection.Close()
	}
}
