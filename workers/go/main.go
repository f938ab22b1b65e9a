package main

import (
	"context"
	"fmt"
	"log"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

var buses = map[string]func(url, prefix, name string) (Bus, error){
	"nats": connectNats, "tls": connectNats, "amqp": connectRabbitMQ, "amqps": connectRabbitMQ, "kafka": connectKafka,
}

func main() {
	stopping, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	host, _ := os.Hostname()
	worker := &Worker{
		Prefix: setting("STEPBUS_PREFIX", "stepbus"), Name: setting("STEPBUS_WORKER", fmt.Sprintf("go-%s-%d", host, os.Getpid())),
		Handlers: handlers(), Concurrency: number("STEPBUS_CONCURRENCY", 4),
		Drain:    time.Duration(number("STEPBUS_DRAIN", 30)) * time.Second,
		Announce: setting("STEPBUS_ANNOUNCE", "1") == "1",
	}
	where := setting("STEPBUS_BUS", "nats://127.0.0.1:4222")
	address, err := url.Parse(where)
	if err != nil || buses[address.Scheme] == nil {
		log.Fatalf("expected STEPBUS_BUS to be the URL of a broker that this worker knows")
	}
	for stopping.Err() == nil {
		if worker.Bus, err = buses[address.Scheme](where, worker.Prefix, worker.Name); err == nil {
			worker.Run(stopping)
			return
		}
		log.Printf("no broker: %v; trying again", err)
		sleep(stopping, time.Second)
	}
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func number(name string, otherwise int) int {
	value, err := strconv.Atoi(setting(name, strconv.Itoa(otherwise)))
	if err != nil || value < 1 {
		log.Fatalf("expected %s to be a whole number of at least 1", name)
	}
	return value
}
