// franz-go's cases. Argument: bootstrap servers.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const records = 300

var (
	servers = strings.Split(os.Args[1], ",")
	run     = fmt.Sprintf("franz-go-%d", time.Now().UnixMilli())
	failed  = false
)

func test(name string, body func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	result := "ok"
	if err := body(ctx); err != nil {
		result = "FAIL: " + strings.ReplaceAll(err.Error(), "\n", " ")
		failed = true
	}
	fmt.Printf("%-56s %s\n", name, result)
}

func same(what string, wanted, got any) error {
	if fmt.Sprint(wanted) != fmt.Sprint(got) {
		return fmt.Errorf("%s: wanted %v, got %v", what, wanted, got)
	}
	return nil
}

func client(options ...kgo.Opt) *kgo.Client {
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(servers...), kgo.AllowAutoTopicCreation()}, options...)...)
	if err != nil {
		panic(err)
	}
	return c
}

func topic(ctx context.Context, name string, partitions int32) (string, error) {
	c := client()
	defer c.Close()
	made, err := kadm.NewClient(c).CreateTopic(ctx, partitions, -1, nil, run+"-"+name)
	time.Sleep(500 * time.Millisecond) // until every broker knows it
	return made.Topic, err
}

func fill(ctx context.Context, topic string, options ...kgo.Opt) error {
	c := client(options...)
	defer c.Close()
	for i := range records {
		c.Produce(ctx, &kgo.Record{Topic: topic, Key: fmt.Appendf(nil, "k%d", i), Value: fmt.Appendf(nil, "v%d", i)}, nil)
	}
	return c.Flush(ctx)
}

// take reads so many records, or as many as come in time.
func take(ctx context.Context, c *kgo.Client, count int, patience time.Duration) ([]*kgo.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var read []*kgo.Record
	for len(read) < count {
		fetches := c.PollFetches(ctx)
		read = append(read, fetches.Records()...)
		if ctx.Err() != nil {
			break
		}
		if err := fetches.Err(); err != nil {
			return read, err
		}
	}
	return read, nil
}

func values(ctx context.Context, topic string, count int, options ...kgo.Opt) ([]string, error) {
	c := client(append(options, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	defer c.Close()
	read, err := take(ctx, c, count, 20*time.Second)
	texts := make([]string, 0, len(read))
	for _, record := range read {
		texts = append(texts, string(record.Value))
	}
	return texts, err
}

func produces(codec string, compression kgo.CompressionCodec) func(context.Context) error {
	return func(ctx context.Context) error {
		name, err := topic(ctx, "codec-"+codec, 1)
		if err != nil {
			return err
		}
		if err := fill(ctx, name, kgo.ProducerBatchCompression(compression)); err != nil {
			return err
		}
		read, err := values(ctx, name, records)
		if err != nil || len(read) < records {
			return errors.Join(err, same("records", records, len(read)))
		}
		return errors.Join(same("records", records, len(read)), same("last", fmt.Sprintf("v%d", records-1), read[len(read)-1]))
	}
}

func shares(name string, options ...kgo.Opt) func(context.Context) error {
	return func(ctx context.Context) error {
		from, err := topic(ctx, "group-"+name, 3)
		if err != nil {
			return err
		}
		if err := fill(ctx, from); err != nil {
			return err
		}
		options = append(options, kgo.ConsumerGroup(run+"-"+name), kgo.ConsumeTopics(from), kgo.DisableAutoCommit(),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		for _, wanted := range []int{records, 0} {
			member := client(options...)
			read, err := take(ctx, member, max(wanted, 1), time.Duration(4+wanted/10)*time.Second)
			if err == nil {
				err = same("records", wanted, len(read))
			}
			if err == nil {
				err = member.CommitUncommittedOffsets(ctx)
			}
			member.Close()
			if err != nil {
				return err
			}
		}
		return nil
	}
}

func transactions(ctx context.Context) error {
	name, err := topic(ctx, "transactions", 1)
	if err != nil {
		return err
	}
	c := client(kgo.TransactionalID(run))
	defer c.Close()
	for _, value := range []string{"a", "b", "c"} {
		if err := c.BeginTransaction(); err != nil {
			return err
		}
		if err := c.ProduceSync(ctx, &kgo.Record{Topic: name, Value: []byte(value)}).FirstErr(); err != nil {
			return err
		}
		if err := c.EndTransaction(ctx, kgo.TransactionEndTry(value != "b")); err != nil {
			return err
		}
	}
	committed, err := values(ctx, name, 2, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	all, err2 := values(ctx, name, 3)
	return errors.Join(err, err2, same("committed", "[a c]", committed), same("all", "[a b c]", all))
}

func pipeline(ctx context.Context) error {
	from, err := topic(ctx, "in", 3)
	if err != nil {
		return err
	}
	to, err := topic(ctx, "out", 1)
	if err != nil {
		return err
	}
	if err := fill(ctx, from); err != nil {
		return err
	}
	session, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(servers...), kgo.TransactionalID(run+"-pipeline"),
		kgo.ConsumerGroup(run+"-pipeline"), kgo.ConsumeTopics(from), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.RequireStableFetchOffsets())
	if err != nil {
		return err
	}
	defer session.Close()
	for done := 0; done < records; {
		fetches := session.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return err
		}
		if err := session.Begin(); err != nil {
			return err
		}
		for _, record := range fetches.Records() {
			session.Produce(ctx, &kgo.Record{Topic: to, Value: record.Value}, nil)
		}
		committed, err := session.End(ctx, kgo.TryCommit)
		if err != nil {
			return err
		}
		if committed {
			done += len(fetches.Records())
		}
	}
	read, err := values(ctx, to, records, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	return errors.Join(err, same("records", records, len(read)))
}

func admin(ctx context.Context) error {
	name, err := topic(ctx, "admin", 2)
	if err != nil {
		return err
	}
	c := client()
	defer c.Close()
	a := kadm.NewClient(c)
	if _, err := a.CreateTopic(ctx, 1, 1, nil, name); !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("created again: %v", err)
	}
	if _, err := a.CreatePartitions(ctx, 2, name); err != nil {
		return err
	}
	if err := fill(ctx, name); err != nil {
		return err
	}
	time.Sleep(500 * time.Millisecond)
	described, err := a.ListTopics(ctx, name)
	if err != nil {
		return err
	}
	ends, err := a.ListEndOffsets(ctx, name)
	if err != nil {
		return err
	}
	var sum int64
	ends.Each(func(end kadm.ListedOffset) { sum += end.Offset })
	deleted, err := a.DeleteTopics(ctx, name)
	return errors.Join(err, deleted.Error(), same("partitions", 4, len(described[name].Partitions)), same("records", records, sum))
}

func main() {
	test("admin: topics, partitions, offsets", admin)
	test("produce and consume: codec none", produces("none", kgo.NoCompression()))
	test("produce and consume: codec gzip", produces("gzip", kgo.GzipCompression()))
	test("produce and consume: codec snappy", produces("snappy", kgo.SnappyCompression()))
	test("produce and consume: codec lz4", produces("lz4", kgo.Lz4Compression()))
	test("produce and consume: codec zstd", produces("zstd", kgo.ZstdCompression()))
	test("groups: go on where they were (cooperative-sticky)", shares("cooperative"))
	test("groups: go on where they were (range)", shares("range", kgo.Balancers(kgo.RangeBalancer())))
	test("groups: a static member goes on", shares("static", kgo.InstanceID("one")))
	test("transactions: commit, abort, read_committed", transactions)
	test("transactions: read, process, write", pipeline)
	if failed {
		os.Exit(1)
	}
}
