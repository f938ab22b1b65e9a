package main

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// kafkaBus is Kafka: a topic and a consumer group for each queue. A job's offset is committed when its answer is
// confirmed, and those of all jobs before it in its partition.
type kafkaBus struct {
	brokers  []string
	prefix   string
	name     string
	producer *kgo.Client
	mutex    sync.Mutex
	readers  map[string]*kafkaReader
}

func connectKafka(address, prefix, name string) (Bus, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	brokers := strings.Split(parsed.Host, ",")
	producer, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ClientID(name),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.ProducerBatchCompression(kgo.NoCompression())) // not every reader knows every compression
	return &kafkaBus{brokers: brokers, prefix: prefix, name: name, producer: producer, readers: map[string]*kafkaReader{}}, err
}

// kafkaReader reads a queue for all its lanes.
type kafkaReader struct {
	client   *kgo.Client
	polling  sync.Mutex // so that jobs are known in the order of their offsets
	mutex    sync.Mutex
	assigned map[int32]*inHand
}

// inHand is what was taken of a partition, in order, for as long as the partition is ours.
type inHand struct{ jobs []*taken }

type taken struct {
	record *kgo.Record
	isDone bool
}

func (b *kafkaBus) reader(queue string) (*kafkaReader, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if found := b.readers[queue]; found != nil {
		return found, nil
	}
	topic := b.prefix + ".jobs." + queue
	reader := &kafkaReader{assigned: map[int32]*inHand{}}
	forget := func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
		reader.mutex.Lock()
		defer reader.mutex.Unlock()
		for _, partition := range lost[topic] {
			delete(reader.assigned, partition)
		}
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(b.brokers...), kgo.ClientID(b.name), kgo.ConsumerGroup(topic),
		kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.Balancers(kgo.RangeBalancer()), // which workers in all languages have in common
		kgo.SessionTimeout(10*time.Second), // after which others get the jobs of a worker that was killed
		kgo.OnPartitionsRevoked(forget), kgo.OnPartitionsLost(forget), kgo.MetadataMinAge(time.Second),
		kgo.MetadataMaxAge(10*time.Second)) // so that a topic is soon seen that comes later than the worker
	if err != nil {
		return nil, err
	}
	reader.client = client
	b.readers[queue] = reader
	return reader, nil
}

func (b *kafkaBus) Lane(ctx context.Context, queue string, take func(Delivery)) error {
	reader, err := b.reader(queue)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		job, partition, err := reader.next(ctx)
		if err != nil {
			return err
		}
		if job != nil {
			take(Delivery{Body: job.record.Value, Count: 1, Ack: func() { reader.done(partition, job) }})
		}
	}
	return nil
}

func (r *kafkaReader) next(ctx context.Context) (*taken, *inHand, error) {
	r.polling.Lock()
	defer r.polling.Unlock()
	fetches := r.client.PollRecords(ctx, 1)
	if ctx.Err() != nil {
		return nil, nil, nil
	}
	if err := fetches.Err(); err != nil {
		return nil, nil, err
	}
	for _, record := range fetches.Records() {
		r.mutex.Lock()
		defer r.mutex.Unlock()
		partition := r.assigned[record.Partition]
		if partition == nil {
			partition = &inHand{}
			r.assigned[record.Partition] = partition
		}
		job := &taken{record: record}
		partition.jobs = append(partition.jobs, job)
		return job, partition, nil
	}
	return nil, nil, nil
}

// done commits up to the first job that is not done yet. If the partition has gone to another worker, the job is
// delivered again there.
func (r *kafkaReader) done(partition *inHand, job *taken) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	job.isDone = true
	if r.assigned[job.record.Partition] != partition {
		return
	}
	var last *kgo.Record
	for len(partition.jobs) > 0 && partition.jobs[0].isDone {
		last, partition.jobs = partition.jobs[0].record, partition.jobs[1:]
	}
	if last != nil {
		ctx, cancel := context.WithTimeout(context.Background(), confirmWithin)
		defer cancel()
		_ = r.client.CommitRecords(ctx, last) // if it is lost, the jobs come again
	}
}

// Publish knows that <prefix>.results.<n> is partition n of the topic <prefix>.results.
func (b *kafkaBus) Publish(ctx context.Context, message Message) error {
	topic, partition := message.Address, 0
	if before, number, isResult := strings.Cut(message.Address, ".results."); isResult {
		topic = before + ".results"
		partition, _ = strconv.Atoi(number)
	}
	record := &kgo.Record{Topic: topic, Partition: int32(partition), Key: []byte(message.Key), Value: message.Body,
		Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/cloudevents+json")}}}
	return b.producer.ProduceSync(ctx, record).FirstErr()
}

func (b *kafkaBus) Close() {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for _, reader := range b.readers {
		reader.client.Close() // which leaves the group, so that others have the rest at once
	}
	b.producer.Close()
}
