package shop

import (
	"context"
	"os"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
)

// Count is how many values were found.
type Count struct {
	Found int `json:"found"`
}

const many = 100

type client interface {
	get(ctx context.Context) (string, error)
	getMany(ctx context.Context) (int, error)
}

var store = connect("127.0.0.1:" + os.Getenv("BENCH_REDIS"))

func connect(address string) client {
	if os.Getenv("BENCH_REDIS") == "" {
		return nil
	}
	if os.Getenv("BENCH_CLIENT") != "rueidis" {
		return pooled{redis.NewClient(&redis.Options{Addr: address, PoolSize: 64})}
	}
	option := rueidis.ClientOption{InitAddress: []string{address}, DisableCache: true}
	link, err := rueidis.NewClient(option)
	if err != nil {
		panic(err)
	}
	return pipelined{link}
}

// A connection of a pool for each command: go-redis.
type pooled struct{ *redis.Client }

func (p pooled) get(ctx context.Context) (string, error) {
	return p.Get(ctx, "msg").Result()
}

func (p pooled) getMany(ctx context.Context) (int, error) {
	pipe := p.Pipeline()
	for range many {
		pipe.Get(ctx, "msg")
	}
	found, err := pipe.Exec(ctx)
	return len(found), err
}

// Commands of all goroutines behind each other: rueidis.
type pipelined struct{ rueidis.Client }

func (p pipelined) get(ctx context.Context) (string, error) {
	return p.Do(ctx, p.B().Get().Key("msg").Build()).ToString()
}

func (p pipelined) getMany(ctx context.Context) (int, error) {
	commands := make(rueidis.Commands, 0, many)
	for range many {
		commands = append(commands, p.B().Get().Key("msg").Build())
	}
	found := p.DoMulti(ctx, commands...)
	for _, each := range found {
		if err := each.Error(); err != nil {
			return 0, err
		}
	}
	return len(found), nil
}

// Stored asks Redis.
func Stored(ctx context.Context) (Hello, error) {
	msg, err := store.get(ctx)
	return Hello{Msg: msg}, err
}

// Gathered asks it for many values at once.
func Gathered(ctx context.Context) (Count, error) {
	found, err := store.getMany(ctx)
	return Count{Found: found}, err
}
