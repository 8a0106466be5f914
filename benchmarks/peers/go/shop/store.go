package shop

import (
	"context"
	"os"
	"strconv"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
)

// Count is how many values were found.
type Count struct {
	Found int `json:"found"`
}

const many = 100

type client interface {
	get(ctx context.Context, key string) (string, error)
	getMany(ctx context.Context) (int, error)
}

var store = connect(os.Getenv("BENCH_REDIS"), os.Getenv("BENCH_CLUSTER"))

func connect(one, cluster string) client {
	if one == "" && cluster == "" {
		return nil
	}
	address := "127.0.0.1:" + one + cluster
	if os.Getenv("BENCH_CLIENT") == "rueidis" {
		// It finds out by itself whether that is a cluster.
		option := rueidis.ClientOption{InitAddress: []string{address}, DisableCache: true}
		link, err := rueidis.NewClient(option)
		if err != nil {
			panic(err)
		}
		return pipelined{link}
	}
	if cluster != "" {
		options := redis.ClusterOptions{Addrs: []string{address}, PoolSize: 64}
		return pooled{redis.NewClusterClient(&options)}
	}
	return pooled{redis.NewClient(&redis.Options{Addr: address, PoolSize: 64})}
}

// A connection of a pool for each command: go-redis.
type pooled struct{ redis.UniversalClient }

func (p pooled) get(ctx context.Context, key string) (string, error) {
	return p.Get(ctx, key).Result()
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

func (p pipelined) get(ctx context.Context, key string) (string, error) {
	return p.Do(ctx, p.B().Get().Key(key).Build()).ToString()
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
	msg, err := store.get(ctx, "msg")
	return Hello{Msg: msg}, err
}

var keys = func() (found [1000]string) {
	for number := range found {
		found[number] = "msg:" + strconv.Itoa(number)
	}
	return found
}()

var turn atomic.Uint64

// Scattered asks a cluster for one key after the other.
func Scattered(ctx context.Context) (Hello, error) {
	msg, err := store.get(ctx, keys[turn.Add(1)%uint64(len(keys))])
	return Hello{Msg: msg}, err
}

// Gathered asks it for many values at once.
func Gathered(ctx context.Context) (Count, error) {
	found, err := store.getMany(ctx)
	return Count{Found: found}, err
}
