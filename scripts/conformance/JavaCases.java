// The Java client's cases. Argument: bootstrap servers. Run by scripts/conformance/java-client.

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.quota.*;
import org.apache.kafka.common.resource.*;
import org.apache.kafka.common.serialization.*;

public class JavaCases {
    static final int WIDTH = 56;
    static final int RECORDS = 300;
    static final String RUN = "java-" + System.currentTimeMillis();
    static String servers;
    static boolean failed;
    static ExecutorService runner = Executors.newCachedThreadPool(task -> {
        Thread thread = new Thread(task);
        thread.setDaemon(true);
        return thread;
    });

    interface Body {
        void run() throws Exception;
    }

    static void test(String name, Body body) {
        String result = "ok";
        Future<?> done = runner.submit(() -> {
            body.run();
            return null;
        });
        try {
            done.get(60, TimeUnit.SECONDS);
        } catch (TimeoutException late) {
            done.cancel(true);
            result = "FAIL: still not done after 60 s";
        } catch (ExecutionException wrong) {
            Throwable cause = wrong.getCause() instanceof ExecutionException ? wrong.getCause().getCause() : wrong.getCause();
            String where = Arrays.stream(wrong.getCause().getStackTrace()).filter(at -> at.getClassName().startsWith("JavaCases"))
                .map(at -> " (line " + at.getLineNumber() + ")").findFirst().orElse("");
            result = "FAIL: " + (cause.getClass().getSimpleName() + ": " + cause.getMessage()).replace('\n', ' ') + where;
        } catch (InterruptedException never) {
            throw new AssertionError(never);
        }
        failed |= !result.equals("ok");
        System.out.printf("%-" + WIDTH + "s %s%n", name, result);
    }

    static void same(Object wanted, Object got) {
        if (!wanted.equals(got)) throw new AssertionError("wanted " + wanted + ", got " + got);
    }

    static void holds(boolean what, Object otherwise) {
        if (!what) throw new AssertionError(String.valueOf(otherwise));
    }

    /** The body must fail with this exception, or one that has it as its cause. */
    static void refused(Class<? extends Throwable> wanted, Body body) {
        try {
            body.run();
        } catch (Throwable got) {
            for (Throwable cause = got; cause != null; cause = cause.getCause()) {
                if (wanted.isInstance(cause)) return;
            }
            throw new AssertionError("wanted " + wanted.getSimpleName() + ", got " + got);
        }
        throw new AssertionError("wanted " + wanted.getSimpleName() + ", got no error");
    }

    /** Asks until the answer is right: metadata reaches brokers one after the other. */
    static <T> T eventually(java.util.concurrent.Callable<T> ask, Predicate<T> right) throws Exception {
        T last = null;
        Exception error = null;
        for (int i = 0; i < 200; i++) {
            try {
                last = ask.call();
                error = null;
                if (right.test(last)) return last;
            } catch (ExecutionException | KafkaException e) {
                error = e;
            }
            Thread.sleep(50);
        }
        if (error != null) throw error;
        throw new AssertionError("still " + last);
    }

    static Map<String, Object> config(Object... pairs) {
        Map<String, Object> config = new HashMap<>();
        config.put("bootstrap.servers", servers);
        for (int i = 0; i < pairs.length; i += 2) config.put((String) pairs[i], pairs[i + 1]);
        return config;
    }

    static Producer<String, String> producer(Object... pairs) {
        return new KafkaProducer<>(config(pairs), new StringSerializer(), new StringSerializer());
    }

    static Consumer<String, String> consumer(Object... pairs) {
        Map<String, Object> config = config("auto.offset.reset", "earliest", "enable.auto.commit", "false");
        for (int i = 0; i < pairs.length; i += 2) config.put((String) pairs[i], pairs[i + 1]);
        return new KafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer());
    }

    static String topic(Admin admin, String name, int partitions, String... configs) throws Exception {
        Map<String, String> config = new HashMap<>();
        for (int i = 0; i < configs.length; i += 2) config.put(configs[i], configs[i + 1]);
        String full = RUN + "-" + name;
        admin.createTopics(List.of(new NewTopic(full, Optional.of(partitions), Optional.empty()).configs(config))).all().get();
        eventually(() -> admin.describeTopics(List.of(full)).allTopicNames().get().get(full),
            found -> found.partitions().stream().allMatch(p -> p.leader() != null && p.leader().id() >= 0));
        return full;
    }

    static List<TopicPartition> partitions(String topic, int count) {
        return IntStream.range(0, count).mapToObj(index -> new TopicPartition(topic, index)).collect(Collectors.toList());
    }

    static <K, V> List<ConsumerRecord<K, V>> take(Consumer<K, V> reader, int count, int seconds) {
        List<ConsumerRecord<K, V>> records = new ArrayList<>();
        long end = System.nanoTime() + seconds * 1_000_000_000L;
        while (records.size() < count && System.nanoTime() < end) {
            reader.poll(Duration.ofMillis(200)).forEach(records::add);
        }
        return records;
    }

    /** Everything that is in a partition. */
    static List<String> values(String topic, int count, Object... pairs) {
        try (Consumer<String, String> reader = consumer(pairs)) {
            reader.assign(List.of(new TopicPartition(topic, 0)));
            return take(reader, count, 15).stream().map(ConsumerRecord::value).collect(Collectors.toList());
        }
    }

    static void fill(String topic, int records, Object... pairs) throws Exception {
        try (Producer<String, String> writer = producer(pairs)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < records; i++) sent.add(writer.send(new ProducerRecord<>(topic, "k" + i, "v" + i)));
            writer.flush();
            for (Future<RecordMetadata> one : sent) one.get(20, TimeUnit.SECONDS);
        }
    }

    static long end(Admin admin, String topic, OffsetSpec spec) throws Exception {
        TopicPartition partition = new TopicPartition(topic, 0);
        return admin.listOffsets(Map.of(partition, spec)).all().get().get(partition).offset();
    }

    public static void main(String[] args) throws Exception {
        servers = args[0];
        try (Admin admin = Admin.create(config("default.api.timeout.ms", 20000, "request.timeout.ms", 15000))) {
            int brokers = admin.describeCluster().nodes().get().size();
            topics(admin);
            configs(admin);
            producing(admin);
            consuming(admin);
            groups(admin);
            transactions(admin);
            cluster(admin);
            security(admin);
            if (brokers > 2) replicas(admin);
        }
        System.exit(failed ? 1 : 0);
    }

    static void topics(Admin admin) {
        test("topics: create, list, describe", () -> {
            String name = topic(admin, "topics", 3);
            holds(admin.listTopics().names().get().contains(name), "not listed");
            TopicDescription found = admin.describeTopics(List.of(name)).allTopicNames().get().get(name);
            same(3, found.partitions().size());
            same(false, found.isInternal());
            holds(found.partitions().stream().allMatch(p -> p.isr().equals(p.replicas())), found);
        });
        test("topics: describe by id, new id when made again", () -> {
            String name = topic(admin, "again", 1);
            Uuid first = admin.describeTopics(List.of(name)).allTopicNames().get().get(name).topicId();
            same(name, admin.describeTopics(TopicCollection.ofTopicIds(List.of(first))).allTopicIds().get().get(first).name());
            admin.deleteTopics(TopicCollection.ofTopicIds(List.of(first))).all().get();
            eventually(() -> admin.listTopics().names().get(), names -> !names.contains(name));
            topic(admin, "again", 1);
            Uuid second = eventually(() -> admin.describeTopics(List.of(name)).allTopicNames().get().get(name).topicId(),
                id -> !id.equals(first));
            refused(UnknownTopicIdException.class,
                () -> admin.describeTopics(TopicCollection.ofTopicIds(List.of(first))).allTopicIds().get());
            holds(!second.equals(Uuid.ZERO_UUID), second);
        });
        test("topics: the answer to creation has partitions and configs", () -> {
            String name = RUN + "-answered";
            CreateTopicsResult made = admin.createTopics(List.of(
                new NewTopic(name, Optional.of(2), Optional.empty()).configs(Map.of("retention.ms", "1000000"))));
            same(2, made.numPartitions(name).get());
            same("1000000", made.config(name).get().get("retention.ms").value());
            same("delete", made.config(name).get().get("cleanup.policy").value());
            holds(made.replicationFactor(name).get() >= 1, "factor");
        });
        test("topics: only validated", () -> {
            String name = RUN + "-validated";
            admin.createTopics(List.of(new NewTopic(name, 1, (short) 1)), new CreateTopicsOptions().validateOnly(true)).all().get();
            holds(!admin.listTopics().names().get().contains(name), "it is there");
        });
        test("topics: broker's defaults", () -> {
            String name = RUN + "-defaults";
            same(1, admin.createTopics(List.of(new NewTopic(name, Optional.empty(), Optional.empty()))).numPartitions(name).get());
        });
        test("topics: replicas assigned by hand", () -> {
            String name = RUN + "-by-hand";
            int leader = admin.describeCluster().nodes().get().iterator().next().id();
            admin.createTopics(List.of(new NewTopic(name, Map.of(0, List.of(leader), 1, List.of(leader))))).all().get();
            TopicDescription found = eventually(() -> admin.describeTopics(List.of(name)).allTopicNames().get().get(name), d -> true);
            same(List.of(leader, leader), found.partitions().stream().map(p -> p.leader().id()).collect(Collectors.toList()));
        });
        test("topics: what cannot be made", () -> {
            String name = topic(admin, "taken", 1);
            refused(TopicExistsException.class, () -> admin.createTopics(List.of(new NewTopic(name, 1, (short) 1))).all().get());
            refused(InvalidTopicException.class, () -> admin.createTopics(List.of(new NewTopic("a b", 1, (short) 1))).all().get());
            refused(InvalidTopicException.class, () -> admin.createTopics(List.of(new NewTopic("..", 1, (short) 1))).all().get());
            refused(InvalidTopicException.class,
                () -> admin.createTopics(List.of(new NewTopic("x".repeat(250), 1, (short) 1))).all().get());
            refused(InvalidReplicationFactorException.class,
                () -> admin.createTopics(List.of(new NewTopic(RUN + "-wide", 1, (short) 9))).all().get());
            refused(InvalidPartitionsException.class,
                () -> admin.createTopics(List.of(new NewTopic(RUN + "-none", 0, (short) 1))).all().get());
            refused(InvalidConfigurationException.class, () -> admin.createTopics(List.of(
                new NewTopic(RUN + "-odd", 1, (short) 1).configs(Map.of("retention.ms", "soon")))).all().get());
            refused(InvalidConfigurationException.class, () -> admin.createTopics(List.of(
                new NewTopic(RUN + "-odd", 1, (short) 1).configs(Map.of("no.such", "x")))).all().get());
            refused(InvalidReplicaAssignmentException.class, () -> admin.createTopics(List.of(
                new NewTopic(RUN + "-odd", Map.of(0, List.of(77))))).all().get());
        });
        test("topics: more partitions", () -> {
            String name = topic(admin, "grown", 2);
            admin.createPartitions(Map.of(name, NewPartitions.increaseTo(4))).all().get();
            eventually(() -> admin.describeTopics(List.of(name)).allTopicNames().get().get(name).partitions().size(), n -> n == 4);
            refused(InvalidPartitionsException.class,
                () -> admin.createPartitions(Map.of(name, NewPartitions.increaseTo(3))).all().get());
            refused(InvalidPartitionsException.class,
                () -> admin.createPartitions(Map.of(name, NewPartitions.increaseTo(4))).all().get());
            refused(UnknownTopicOrPartitionException.class,
                () -> admin.createPartitions(Map.of(RUN + "-missing", NewPartitions.increaseTo(3))).all().get());
        });
        test("topics: what is not there", () -> {
            refused(UnknownTopicOrPartitionException.class, () -> admin.deleteTopics(List.of(RUN + "-missing")).all().get());
            refused(UnknownTopicOrPartitionException.class,
                () -> admin.describeTopics(List.of(RUN + "-missing")).allTopicNames().get());
        });
    }

    static void configs(Admin admin) {
        test("configs: of a topic, with their sources", () -> {
            String name = topic(admin, "configs", 1, "retention.ms", "7200000");
            Config found = describe(admin, ConfigResource.Type.TOPIC, name);
            same("7200000", found.get("retention.ms").value());
            same(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, found.get("retention.ms").source());
            same(ConfigEntry.ConfigSource.DEFAULT_CONFIG, found.get("segment.bytes").source());
            same("1073741824", found.get("segment.bytes").value());
            same(false, found.get("segment.bytes").isSensitive());
            for (String each : List.of("cleanup.policy", "compression.type", "delete.retention.ms", "file.delete.delay.ms",
                "flush.messages", "flush.ms", "follower.replication.throttled.replicas", "index.interval.bytes",
                "leader.replication.throttled.replicas", "local.retention.bytes", "local.retention.ms", "max.compaction.lag.ms",
                "max.message.bytes", "message.timestamp.after.max.ms", "message.timestamp.before.max.ms",
                "message.timestamp.type", "min.cleanable.dirty.ratio", "min.compaction.lag.ms", "min.insync.replicas",
                "preallocate", "remote.storage.enable", "retention.bytes", "segment.index.bytes", "segment.jitter.ms",
                "segment.ms", "unclean.leader.election.enable")) {
                holds(found.get(each) != null, each + " is missing");
            }
        });
        test("configs: synonyms, types, documentation", () -> {
            String name = topic(admin, "synonyms", 1, "max.message.bytes", "3600000");
            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, name);
            ConfigEntry found = admin.describeConfigs(List.of(resource),
                new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true)).all().get().get(resource).get("max.message.bytes");
            same(ConfigEntry.ConfigType.INT, found.type());
            same(List.of("max.message.bytes DYNAMIC_TOPIC_CONFIG", "message.max.bytes DEFAULT_CONFIG"),
                found.synonyms().stream().map(one -> one.name() + " " + one.source()).collect(Collectors.toList()));
            holds(found.documentation() != null && !found.documentation().isEmpty(), "no documentation");
        });
        test("configs: of a broker", () -> {
            String id = admin.describeCluster().nodes().get().iterator().next().idString();
            Config found = describe(admin, ConfigResource.Type.BROKER, id);
            same(id, found.get("node.id").value());
            same(true, found.get("node.id").isReadOnly());
            holds(found.get("log.retention.hours") != null || found.get("log.retention.ms") != null, "no retention");
            same("true", found.get("auto.create.topics.enable").value());
        });
        test("configs: set, append, subtract, delete", () -> {
            String name = topic(admin, "altered", 1);
            alter(admin, name, "cleanup.policy", "compact", AlterConfigOp.OpType.APPEND);
            eventually(() -> describe(admin, ConfigResource.Type.TOPIC, name).get("cleanup.policy").value(), "delete,compact"::equals);
            alter(admin, name, "cleanup.policy", "delete", AlterConfigOp.OpType.SUBTRACT);
            eventually(() -> describe(admin, ConfigResource.Type.TOPIC, name).get("cleanup.policy").value(), "compact"::equals);
            alter(admin, name, "cleanup.policy", "", AlterConfigOp.OpType.DELETE);
            eventually(() -> describe(admin, ConfigResource.Type.TOPIC, name).get("cleanup.policy").value(), "delete"::equals);
            alter(admin, name, "max.message.bytes", "5000", AlterConfigOp.OpType.SET);
            eventually(() -> describe(admin, ConfigResource.Type.TOPIC, name).get("max.message.bytes").value(), "5000"::equals);
        });
        test("configs: what cannot be set", () -> {
            String name = topic(admin, "refused", 1);
            refused(InvalidConfigurationException.class, () -> alter(admin, name, "retention.ms", "x", AlterConfigOp.OpType.SET));
            refused(InvalidConfigurationException.class, () -> alter(admin, name, "no.such", "x", AlterConfigOp.OpType.SET));
            refused(InvalidConfigurationException.class, () -> alter(admin, name, "retention.ms", "1", AlterConfigOp.OpType.APPEND));
            refused(UnknownTopicOrPartitionException.class,
                () -> alter(admin, RUN + "-missing", "retention.ms", "1", AlterConfigOp.OpType.SET));
        });
        test("configs: of all brokers and of one", () -> {
            String id = admin.describeCluster().nodes().get().iterator().next().idString();
            ConfigResource all = new ConfigResource(ConfigResource.Type.BROKER, "");
            ConfigResource one = new ConfigResource(ConfigResource.Type.BROKER, id);
            String key = "log.cleaner.backoff.ms";
            admin.incrementalAlterConfigs(Map.of(
                all, List.of(new AlterConfigOp(new ConfigEntry(key, "16000"), AlterConfigOp.OpType.SET)),
                one, List.of(new AlterConfigOp(new ConfigEntry(key, "17000"), AlterConfigOp.OpType.SET)))).all().get();
            ConfigEntry found = eventually(() -> describe(admin, ConfigResource.Type.BROKER, id).get(key), e -> e.value().equals("17000"));
            same(ConfigEntry.ConfigSource.DYNAMIC_BROKER_CONFIG, found.source());
            admin.incrementalAlterConfigs(Map.of(
                one, List.of(new AlterConfigOp(new ConfigEntry(key, ""), AlterConfigOp.OpType.DELETE)))).all().get();
            found = eventually(() -> describe(admin, ConfigResource.Type.BROKER, id).get(key), e -> e.value().equals("16000"));
            same(ConfigEntry.ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG, found.source());
            admin.incrementalAlterConfigs(Map.of(
                all, List.of(new AlterConfigOp(new ConfigEntry(key, ""), AlterConfigOp.OpType.DELETE)))).all().get();
            refused(InvalidRequestException.class, () -> admin.incrementalAlterConfigs(Map.of(
                one, List.of(new AlterConfigOp(new ConfigEntry("node.id", "9"), AlterConfigOp.OpType.SET)))).all().get());
        });
        test("configs: of a group", () -> {
            ConfigResource group = new ConfigResource(ConfigResource.Type.GROUP, RUN + "-configured");
            admin.incrementalAlterConfigs(Map.of(group, List.of(
                new AlterConfigOp(new ConfigEntry("consumer.session.timeout.ms", "50000"), AlterConfigOp.OpType.SET)))).all().get();
            eventually(() -> admin.describeConfigs(List.of(group)).all().get().get(group).get("consumer.session.timeout.ms").value(),
                "50000"::equals);
        });
        test("configs: which resources have some", () -> {
            String name = topic(admin, "listed", 1, "retention.ms", "7200000");
            holds(admin.listConfigResources(Set.of(ConfigResource.Type.TOPIC), new ListConfigResourcesOptions()).all().get()
                .contains(new ConfigResource(ConfigResource.Type.TOPIC, name)), "not listed");
        });
        test("configs: client metrics subscriptions", () -> {
            ConfigResource metrics = new ConfigResource(ConfigResource.Type.CLIENT_METRICS, RUN + "-metrics");
            admin.incrementalAlterConfigs(Map.of(metrics, List.of(
                new AlterConfigOp(new ConfigEntry("interval.ms", "60000"), AlterConfigOp.OpType.SET)))).all().get();
            eventually(() -> admin.listConfigResources(Set.of(ConfigResource.Type.CLIENT_METRICS), new ListConfigResourcesOptions()).all().get(),
                found -> found.contains(metrics));
            admin.incrementalAlterConfigs(Map.of(metrics, List.of(
                new AlterConfigOp(new ConfigEntry("interval.ms", ""), AlterConfigOp.OpType.DELETE)))).all().get();
        });
    }

    static Config describe(Admin admin, ConfigResource.Type type, String name) throws Exception {
        ConfigResource resource = new ConfigResource(type, name);
        return admin.describeConfigs(List.of(resource)).all().get().get(resource);
    }

    static void alter(Admin admin, String topic, String key, String value, AlterConfigOp.OpType op) throws Exception {
        admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.TOPIC, topic),
            List.of(new AlterConfigOp(new ConfigEntry(key, value), op)))).all().get();
    }

    static void producing(Admin admin) {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            test("produce: codec " + codec, () -> {
                String name = topic(admin, "codec-" + codec, 1);
                fill(name, RECORDS, "compression.type", codec, "linger.ms", 20);
                same(IntStream.range(0, RECORDS).mapToObj(i -> "v" + i).collect(Collectors.toList()), values(name, RECORDS));
            });
        }
        for (String acks : List.of("0", "1", "all")) {
            test("produce: acks=" + acks, () -> {
                String name = topic(admin, "acks-" + acks, 1);
                fill(name, RECORDS, "acks", acks, "enable.idempotence", acks.equals("all"));
                same(RECORDS, values(name, RECORDS).size());
            });
        }
        test("produce: offsets and timestamps that are acknowledged", () -> {
            String name = topic(admin, "metadata", 1);
            try (Producer<String, String> writer = producer()) {
                for (long i = 0; i < 3; i++) {
                    RecordMetadata at = writer.send(new ProducerRecord<>(name, 0, 1000 + i, "k", "v")).get();
                    same(i, at.offset());
                    same(1000 + i, at.timestamp());
                }
            }
        });
        test("produce: keys, headers, nulls, empty", () -> {
            String name = topic(admin, "content", 1);
            try (Producer<String, String> writer = producer(); Consumer<String, String> reader = consumer()) {
                ProducerRecord<String, String> full = new ProducerRecord<>(name, 0, 42L, "key", "value");
                full.headers().add("a", "1".getBytes(StandardCharsets.UTF_8)).add("a", "2".getBytes(StandardCharsets.UTF_8));
                full.headers().add("null", null);
                writer.send(full);
                writer.send(new ProducerRecord<>(name, 0, "key", null));
                writer.send(new ProducerRecord<>(name, 0, null, ""));
                writer.flush();
                reader.assign(partitions(name, 1));
                List<ConsumerRecord<String, String>> read = take(reader, 3, 15);
                same(42L, read.get(0).timestamp());
                same("1,2,null", Arrays.stream(read.get(0).headers().toArray())
                    .map(h -> h.value() == null ? "null" : new String(h.value(), StandardCharsets.UTF_8)).collect(Collectors.joining(",")));
                same(List.of(Optional.of("key"), Optional.empty(), Optional.of(""), Optional.empty()), List.of(
                    Optional.ofNullable(read.get(1).key()), Optional.ofNullable(read.get(1).value()),
                    Optional.ofNullable(read.get(2).value()), Optional.ofNullable(read.get(2).key())));
            }
        });
        test("produce: a record of 900 kB", () -> {
            String name = topic(admin, "large", 1);
            try (Producer<String, String> writer = producer()) {
                writer.send(new ProducerRecord<>(name, "x".repeat(900_000))).get();
            }
            same(900_000, values(name, 1).get(0).length());
        });
        test("produce: more than the topic's max.message.bytes", () -> {
            String name = topic(admin, "small", 1, "max.message.bytes", "1000");
            try (Producer<String, String> writer = producer()) {
                refused(RecordTooLargeException.class, () -> writer.send(new ProducerRecord<>(name, "x".repeat(2000))).get());
                writer.send(new ProducerRecord<>(name, "fits")).get();
            }
        });
        test("produce: min.insync.replicas above the factor is the factor", () -> {
            String name = topic(admin, "lonely", 1, "min.insync.replicas", "4");
            fill(name, 1, "delivery.timeout.ms", 6000, "request.timeout.ms", 2000, "linger.ms", 0);
        });
        test("produce: a topic comes into being", () -> {
            try (Producer<String, String> writer = producer()) {
                same(0L, writer.send(new ProducerRecord<>(RUN + "-made", "x")).get().offset());
            }
        });
        test("produce: an invalid name, an unknown partition", () -> {
            String name = topic(admin, "one-partition", 1);
            try (Producer<String, String> writer = producer("max.block.ms", 3000)) {
                refused(InvalidTopicException.class, () -> writer.send(new ProducerRecord<>("a b", "x")).get());
                refused(org.apache.kafka.common.errors.TimeoutException.class,
                    () -> writer.send(new ProducerRecord<>(name, 7, "k", "v")).get());
            }
        });
        test("produce: message.timestamp.type=LogAppendTime", () -> {
            String name = topic(admin, "append-time", 1, "message.timestamp.type", "LogAppendTime");
            long before = System.currentTimeMillis() - 60_000;
            try (Producer<String, String> writer = producer(); Consumer<String, String> reader = consumer()) {
                holds(writer.send(new ProducerRecord<>(name, 0, 5L, "k", "v")).get().timestamp() > before, "the client's");
                reader.assign(partitions(name, 1));
                ConsumerRecord<String, String> read = take(reader, 1, 15).get(0);
                same("LogAppendTime", read.timestampType().toString());
                holds(read.timestamp() > before, read.timestamp());
            }
        });
        test("produce: message.timestamp.before.max.ms", () -> {
            String name = topic(admin, "punctual", 1, "message.timestamp.before.max.ms", "600000");
            try (Producer<String, String> writer = producer()) {
                refused(InvalidTimestampException.class, () -> writer.send(new ProducerRecord<>(name, 0, 5L, "k", "v")).get());
                writer.send(new ProducerRecord<>(name, "now")).get();
            }
        });
        test("produce: a compacted topic wants keys", () -> {
            String name = topic(admin, "compacted", 1, "cleanup.policy", "compact");
            try (Producer<String, String> writer = producer()) {
                refused(InvalidRecordException.class, () -> writer.send(new ProducerRecord<>(name, "no key")).get());
                writer.send(new ProducerRecord<>(name, "key", "value")).get();
            }
        });
        test("produce: the topic's compression.type", () -> {
            String name = topic(admin, "compression", 1, "compression.type", "zstd");
            fill(name, RECORDS, "compression.type", "gzip", "linger.ms", 20);
            same(RECORDS, values(name, RECORDS).size());
        });
    }

    static void consuming(Admin admin) {
        test("consume: seek, position, beginning, end", () -> {
            String name = topic(admin, "seek", 1);
            fill(name, RECORDS);
            TopicPartition p = new TopicPartition(name, 0);
            try (Consumer<String, String> reader = consumer()) {
                reader.assign(List.of(p));
                same(Map.of(p, 0L), reader.beginningOffsets(List.of(p)));
                same(Map.of(p, (long) RECORDS), reader.endOffsets(List.of(p)));
                reader.seek(p, 100);
                same("v100", take(reader, 1, 15).get(0).value());
                reader.seekToEnd(List.of(p));
                same((long) RECORDS, reader.position(p));
                reader.seekToBeginning(List.of(p));
                same("v0", take(reader, 1, 15).get(0).value());
            }
        });
        test("consume: offsets for times", () -> {
            String name = topic(admin, "times", 1);
            TopicPartition p = new TopicPartition(name, 0);
            try (Producer<String, String> writer = producer(); Consumer<String, String> reader = consumer()) {
                for (long at : new long[] {1000, 3000, 2000, 5000}) writer.send(new ProducerRecord<>(name, 0, at, "k", "v")).get();
                same(1L, reader.offsetsForTimes(Map.of(p, 1500L)).get(p).offset());
                same(3000L, reader.offsetsForTimes(Map.of(p, 1500L)).get(p).timestamp());
                same(3L, reader.offsetsForTimes(Map.of(p, 4000L)).get(p).offset());
                holds(reader.offsetsForTimes(Map.of(p, 9000L)).get(p) == null, "beyond the end");
                same(3L, end(admin, name, OffsetSpec.maxTimestamp()));
                same(0L, end(admin, name, OffsetSpec.earliest()));
                same(4L, end(admin, name, OffsetSpec.latest()));
                same(0L, end(admin, name, OffsetSpec.forTimestamp(0)));
                same(0L, end(admin, name, OffsetSpec.earliestLocal()));
            }
        });
        test("consume: no offset, offset out of range", () -> {
            String name = topic(admin, "reset", 1);
            fill(name, 10);
            TopicPartition p = new TopicPartition(name, 0);
            try (Consumer<String, String> reader = consumer("auto.offset.reset", "none", "group.id", RUN + "-none")) {
                reader.assign(List.of(p));
                refused(NoOffsetForPartitionException.class, () -> take(reader, 1, 10));
                reader.seek(p, 500);
                refused(org.apache.kafka.clients.consumer.OffsetOutOfRangeException.class, () -> take(reader, 1, 10));
            }
            try (Consumer<String, String> reader = consumer("auto.offset.reset", "latest")) {
                reader.assign(List.of(p));
                reader.seek(p, 500);
                same(0, take(reader, 1, 2).size());
                same(10L, reader.position(p));
            }
            try (Consumer<String, String> reader = consumer("auto.offset.reset", "by_duration:PT1H")) {
                reader.assign(List.of(p));
                same(10, take(reader, 10, 15).size());
            }
        });
        test("consume: small fetches", () -> {
            String name = topic(admin, "fetches", 3);
            fill(name, RECORDS, "batch.size", 500);
            try (Consumer<String, String> reader = consumer("max.partition.fetch.bytes", 600, "fetch.max.bytes", 1000,
                "max.poll.records", 7)) {
                reader.assign(partitions(name, 3));
                same(RECORDS, take(reader, RECORDS, 20).size());
            }
        });
        test("consume: fetch.min.bytes waits", () -> {
            String name = topic(admin, "waits", 1);
            fill(name, 1);
            try (Consumer<String, String> reader = consumer("fetch.min.bytes", 100_000, "fetch.max.wait.ms", 1500)) {
                reader.assign(partitions(name, 1));
                long began = System.nanoTime();
                same(1, take(reader, 1, 15).size());
                holds(System.nanoTime() - began > 1_200_000_000L, "it did not wait");
            }
        });
        test("consume: pause and resume", () -> {
            String name = topic(admin, "pause", 1);
            fill(name, 10);
            try (Consumer<String, String> reader = consumer()) {
                reader.assign(partitions(name, 1));
                reader.pause(partitions(name, 1));
                same(0, take(reader, 1, 1).size());
                reader.resume(partitions(name, 1));
                same(10, take(reader, 10, 15).size());
            }
        });
        test("consume: partitionsFor, listTopics", () -> {
            String name = topic(admin, "partitions", 3);
            try (Consumer<String, String> reader = consumer()) {
                same(3, reader.partitionsFor(name).size());
                holds(reader.listTopics().containsKey(name), "not listed");
            }
        });
        test("consume: a topic that is not there", () -> {
            try (Consumer<String, String> reader = consumer("allow.auto.create.topics", "false")) {
                reader.assign(partitions(RUN + "-missing", 1));
                same(0, take(reader, 1, 2).size());
                refused(UnknownTopicOrPartitionException.class, () -> {
                    if (reader.partitionsFor(RUN + "-missing").isEmpty()) throw new UnknownTopicOrPartitionException();
                });
                holds(!admin.listTopics().names().get().contains(RUN + "-missing"), "it was made");
            }
        });
        test("records: deleted", () -> {
            String name = topic(admin, "deleted-records", 1);
            fill(name, 20);
            TopicPartition p = new TopicPartition(name, 0);
            same(8L, admin.deleteRecords(Map.of(p, RecordsToDelete.beforeOffset(8))).lowWatermarks().get(p).get().lowWatermark());
            same(8L, end(admin, name, OffsetSpec.earliest()));
            same("v8", values(name, 1).get(0));
            refused(org.apache.kafka.common.errors.OffsetOutOfRangeException.class,
                () -> admin.deleteRecords(Map.of(p, RecordsToDelete.beforeOffset(99))).all().get());
            admin.deleteRecords(Map.of(p, RecordsToDelete.beforeOffset(-1))).all().get();
            same(20L, end(admin, name, OffsetSpec.earliest()));
        });
    }

    static long read(Consumer<String, String> member) {
        return member.assignment().stream().mapToLong(member::position).sum();
    }

    static void groups(Admin admin) {
        Map<String, List<String>> variants = new java.util.LinkedHashMap<>();
        for (String assignor : List.of("RangeAssignor", "RoundRobinAssignor", "StickyAssignor", "CooperativeStickyAssignor")) {
            variants.put("classic, " + assignor, List.of("partition.assignment.strategy", "org.apache.kafka.clients.consumer." + assignor));
        }
        for (String assignor : List.of("uniform", "range")) {
            variants.put("consumer, " + assignor, List.of("group.protocol", "consumer", "group.remote.assignor", assignor));
        }
        variants.forEach((variant, pair) -> {
            test("groups: two members share (" + variant + ")", () -> {
                String id = RUN + "-" + variant.replace(", ", "-");
                String name = topic(admin, "shared-" + variant.replace(", ", "-"), 4);
                fill(name, RECORDS);
                List<Object> config = new ArrayList<>(pair);
                config.addAll(List.of("group.id", id));
                try (Consumer<String, String> one = consumer(config.toArray()); Consumer<String, String> two = consumer(config.toArray())) {
                    one.subscribe(List.of(name));
                    two.subscribe(List.of(name));
                    Set<String> seen = new HashSet<>();
                    long end = System.nanoTime() + 40_000_000_000L;
                    // who takes a partition over begins it anew
                    while ((one.assignment().size() != 2 || two.assignment().size() != 2 || read(one) + read(two) < RECORDS)
                        && System.nanoTime() < end) {
                        one.poll(Duration.ofMillis(100)).forEach(record -> seen.add(record.value()));
                        two.poll(Duration.ofMillis(100)).forEach(record -> seen.add(record.value()));
                    }
                    holds(seen.size() == RECORDS, seen.size() + " read; " + one.assignment() + " and " + two.assignment());
                    same(2, one.assignment().size());
                    same(2, two.assignment().size());
                    one.commitSync();
                    two.commitSync();
                    ConsumerGroupDescription found = admin.describeConsumerGroups(List.of(id)).all().get().get(id);
                    same(2, found.members().size());
                    same(GroupState.STABLE, found.groupState());
                    same(variant.startsWith("classic") ? GroupType.CLASSIC : GroupType.CONSUMER, found.type());
                    same(4, found.members().stream().mapToInt(m -> m.assignment().topicPartitions().size()).sum());
                }
                Map<TopicPartition, OffsetAndMetadata> committed = admin.listConsumerGroupOffsets(id).partitionsToOffsetAndMetadata().get();
                same((long) RECORDS, committed.values().stream().mapToLong(OffsetAndMetadata::offset).sum());
                eventually(() -> admin.describeConsumerGroups(List.of(id)).all().get().get(id).groupState(), GroupState.EMPTY::equals);
            });
        });
        for (String protocol : List.of("classic", "consumer")) {
            test("groups: a static member comes back (" + protocol + ")", () -> {
                String id = RUN + "-static-" + protocol;
                String name = topic(admin, "static-" + protocol, 2);
                fill(name, 10);
                Object[] config = {"group.id", id, "group.instance.id", "one", "group.protocol", protocol};
                Set<TopicPartition> before;
                try (Consumer<String, String> member = consumer(config)) {
                    member.subscribe(List.of(name));
                    same(10, take(member, 10, 20).size());
                    before = member.assignment();
                    member.commitSync();
                }
                MemberDescription listed = admin.describeConsumerGroups(List.of(id)).all().get().get(id).members().iterator().next();
                same(Optional.of("one"), listed.groupInstanceId());
                try (Consumer<String, String> member = consumer(config)) {
                    member.subscribe(List.of(name));
                    long end = System.nanoTime() + 20_000_000_000L;
                    while (member.assignment().isEmpty() && System.nanoTime() < end) member.poll(Duration.ofMillis(100));
                    same(before, member.assignment());
                }
                admin.removeMembersFromConsumerGroup(id, new RemoveMembersFromConsumerGroupOptions(
                    List.of(new MemberToRemove("one")))).all().get();
                eventually(() -> admin.describeConsumerGroups(List.of(id)).all().get().get(id).members().size(), n -> n == 0);
            });
            test("groups: subscription by pattern (" + protocol + ")", () -> {
                String name = topic(admin, "pattern-" + protocol + "-a", 1);
                fill(name, 5);
                try (Consumer<String, String> member = consumer("group.id", RUN + "-pattern-" + protocol, "group.protocol", protocol,
                    "metadata.max.age.ms", 500)) {
                    member.subscribe(Pattern.compile(RUN + "-pattern-" + protocol + "-.*"));
                    same(5, take(member, 5, 20).size());
                    member.commitSync();
                    fill(topic(admin, "pattern-" + protocol + "-b", 1), 5);
                    same(5, take(member, 5, 20).size());
                }
            });
            test("groups: commits, with metadata (" + protocol + ")", () -> {
                String name = topic(admin, "commits-" + protocol, 1);
                fill(name, 10);
                TopicPartition p = new TopicPartition(name, 0);
                Object[] config = {"group.id", RUN + "-commits-" + protocol, "group.protocol", protocol};
                try (Consumer<String, String> member = consumer(config)) {
                    member.subscribe(List.of(name));
                    same(10, take(member, 10, 20).size());
                    member.commitSync(Map.of(p, new OffsetAndMetadata(4, "note")));
                    CompletableFuture<Exception> done = new CompletableFuture<>();
                    member.commitAsync(Map.of(p, new OffsetAndMetadata(6, "note")), (offsets, error) -> done.complete(error));
                    for (int i = 0; i < 100 && !done.isDone(); i++) member.poll(Duration.ofMillis(50));
                    holds(done.get() == null, done.get());
                    same(new OffsetAndMetadata(6, "note").offset(), member.committed(Set.of(p)).get(p).offset());
                    same("note", member.committed(Set.of(p)).get(p).metadata());
                    refused(OffsetMetadataTooLarge.class,
                        () -> member.commitSync(Map.of(p, new OffsetAndMetadata(6, "x".repeat(5000)))));
                }
                try (Consumer<String, String> member = consumer(config)) {
                    member.subscribe(List.of(name));
                    same("v6", take(member, 1, 20).get(0).value());
                }
            });
            test("groups: auto commit on close (" + protocol + ")", () -> {
                String name = topic(admin, "auto-" + protocol, 1), id = RUN + "-auto-" + protocol;
                fill(name, 10);
                try (Consumer<String, String> member = consumer("group.id", id, "group.protocol", protocol, "enable.auto.commit", "true")) {
                    member.subscribe(List.of(name));
                    same(10, take(member, 10, 20).size());
                }
                same(10L, admin.listConsumerGroupOffsets(id).partitionsToOffsetAndMetadata().get()
                    .get(new TopicPartition(name, 0)).offset());
            });
            test("groups: a member that polls too late is out (" + protocol + ")", () -> {
                String name = topic(admin, "late-" + protocol, 1);
                fill(name, 1);
                try (Consumer<String, String> member = consumer("group.id", RUN + "-late-" + protocol, "group.protocol", protocol,
                    "max.poll.interval.ms", 6000)) {
                    member.subscribe(List.of(name));
                    same(1, take(member, 1, 20).size());
                    Thread.sleep(8000);
                    if (protocol.equals("classic")) refused(CommitFailedException.class, member::commitSync);
                    eventually(() -> admin.describeConsumerGroups(List.of(RUN + "-late-" + protocol)).all().get()
                        .get(RUN + "-late-" + protocol).members().size(), n -> n == 0);
                }
            });
        }
        test("groups: subscription by RE2J pattern (consumer)", () -> {
            String name = topic(admin, "re2j-a", 1);
            topic(admin, "re2x-a", 1);
            fill(name, 5);
            try (Consumer<String, String> member = consumer("group.id", RUN + "-re2j", "group.protocol", "consumer")) {
                member.subscribe(new SubscriptionPattern(RUN + "-re2j-.*"));
                same(5, take(member, 5, 20).size());
                same(Set.of(new TopicPartition(name, 0)), member.assignment());
            }
            try (Consumer<String, String> member = consumer("group.id", RUN + "-re2j-bad", "group.protocol", "consumer")) {
                member.subscribe(new SubscriptionPattern("(unclosed"));
                refused(InvalidRegularExpression.class, () -> take(member, 1, 10));
            }
        });
        test("groups: from one protocol to the other, while it runs", () -> {
            String name = topic(admin, "migrated", 2), id = RUN + "-migrated";
            fill(name, RECORDS);
            try (Consumer<String, String> one = consumer("group.id", id)) {
                one.subscribe(List.of(name));
                same(RECORDS, take(one, RECORDS, 20).size());
                one.commitSync();
                try (Consumer<String, String> two = consumer("group.id", id, "group.protocol", "consumer")) {
                    two.subscribe(List.of(name));
                    long end = System.nanoTime() + 30_000_000_000L;
                    while ((one.assignment().size() != 1 || two.assignment().size() != 1) && System.nanoTime() < end) {
                        one.poll(Duration.ofMillis(100));
                        two.poll(Duration.ofMillis(100));
                    }
                    same(List.of(1, 1), List.of(one.assignment().size(), two.assignment().size()));
                    same(GroupType.CONSUMER, admin.describeConsumerGroups(List.of(id)).all().get().get(id).type());
                }
                long end = System.nanoTime() + 30_000_000_000L;
                while (one.assignment().size() != 2 && System.nanoTime() < end) one.poll(Duration.ofMillis(100));
                same(2, one.assignment().size());
                same(GroupType.CLASSIC, admin.describeConsumerGroups(List.of(id)).all().get().get(id).type());
                one.commitSync();
            }
        });
        test("groups: offsets without members: set, list, delete", () -> {
            String name = topic(admin, "offsets", 2), id = RUN + "-offsets";
            TopicPartition p0 = new TopicPartition(name, 0), p1 = new TopicPartition(name, 1);
            admin.alterConsumerGroupOffsets(id, Map.of(p0, new OffsetAndMetadata(5), p1, new OffsetAndMetadata(7))).all().get();
            same(7L, admin.listConsumerGroupOffsets(id).partitionsToOffsetAndMetadata().get().get(p1).offset());
            admin.deleteConsumerGroupOffsets(id, Set.of(p1)).all().get();
            same(Set.of(p0), admin.listConsumerGroupOffsets(id).partitionsToOffsetAndMetadata().get().keySet());
        });
        test("groups: list by state and type, delete", () -> {
            String name = topic(admin, "listing", 1), id = RUN + "-listing";
            fill(name, 1);
            try (Consumer<String, String> member = consumer("group.id", id)) {
                member.subscribe(List.of(name));
                take(member, 1, 20);
                holds(admin.listGroups(new ListGroupsOptions().inGroupStates(Set.of(GroupState.STABLE)).withTypes(Set.of(GroupType.CLASSIC)))
                    .all().get().stream().anyMatch(group -> group.groupId().equals(id)), "not listed as stable");
                holds(admin.listGroups(new ListGroupsOptions().inGroupStates(Set.of(GroupState.EMPTY)))
                    .all().get().stream().noneMatch(group -> group.groupId().equals(id)), "listed as empty");
                refused(GroupNotEmptyException.class, () -> admin.deleteConsumerGroups(List.of(id)).all().get());
                refused(UnknownMemberIdException.class, () -> admin.alterConsumerGroupOffsets(id,
                    Map.of(new TopicPartition(name, 0), new OffsetAndMetadata(0))).all().get());
                refused(GroupSubscribedToTopicException.class,
                    () -> admin.deleteConsumerGroupOffsets(id, Set.of(new TopicPartition(name, 0))).all().get());
            }
            eventually(() -> admin.describeConsumerGroups(List.of(id)).all().get().get(id).groupState(), GroupState.EMPTY::equals);
            admin.deleteConsumerGroups(List.of(id)).all().get();
            refused(GroupIdNotFoundException.class, () -> admin.deleteConsumerGroups(List.of(id)).all().get());
        });
        test("groups: one that is not there", () -> {
            refused(GroupIdNotFoundException.class, () -> admin.describeConsumerGroups(List.of(RUN + "-nobody")).all().get());
            same(Map.of(), admin.listConsumerGroupOffsets(RUN + "-nobody").partitionsToOffsetAndMetadata().get());
        });
    }

    static void transactions(Admin admin) {
        test("transactions: commit, abort, read_committed", () -> {
            String name = topic(admin, "transactions", 1);
            try (Producer<String, String> writer = producer("transactional.id", RUN + "-simple")) {
                writer.initTransactions();
                for (String value : List.of("a", "b", "c")) {
                    writer.beginTransaction();
                    writer.send(new ProducerRecord<>(name, value)).get();
                    if (value.equals("b")) writer.abortTransaction();
                    else writer.commitTransaction();
                }
            }
            same(List.of("a", "c"), values(name, 2, "isolation.level", "read_committed"));
            same(List.of("a", "b", "c"), values(name, 3));
        });
        test("transactions: an open one holds readers back", () -> {
            String name = topic(admin, "open", 1), id = RUN + "-open";
            TopicPartition p = new TopicPartition(name, 0);
            try (Producer<String, String> writer = producer("transactional.id", id);
                Consumer<String, String> reader = consumer("isolation.level", "read_committed")) {
                writer.initTransactions();
                writer.beginTransaction();
                writer.send(new ProducerRecord<>(name, "held")).get();
                writer.flush();
                fill(name, 1);
                reader.assign(List.of(p));
                same(0, take(reader, 1, 2).size());
                same(0L, reader.endOffsets(List.of(p)).get(p));
                TransactionDescription found = admin.describeTransactions(List.of(id)).all().get().get(id);
                same(TransactionState.ONGOING, found.state());
                same(Set.of(p), found.topicPartitions());
                holds(admin.listTransactions(new ListTransactionsOptions().filterStates(Set.of(TransactionState.ONGOING))).all().get()
                    .stream().anyMatch(one -> one.transactionalId().equals(id)), "not listed");
                holds(admin.describeProducers(List.of(p)).all().get().get(p).activeProducers().stream()
                    .anyMatch(one -> one.producerId() == found.producerId() && one.currentTransactionStartOffset().isPresent()),
                    "no active producer");
                writer.commitTransaction();
                same(2, take(reader, 2, 15).size());
            }
        });
        test("transactions: a newer producer fences the older", () -> {
            String name = topic(admin, "fenced", 1);
            try (Producer<String, String> older = producer("transactional.id", RUN + "-fenced")) {
                older.initTransactions();
                older.beginTransaction();
                older.send(new ProducerRecord<>(name, "old")).get();
                try (Producer<String, String> newer = producer("transactional.id", RUN + "-fenced")) {
                    newer.initTransactions();
                    refused(ProducerFencedException.class, older::commitTransaction);
                    newer.beginTransaction();
                    newer.send(new ProducerRecord<>(name, "new"));
                    newer.commitTransaction();
                }
            }
            same(List.of("new"), values(name, 1, "isolation.level", "read_committed"));
        });
        test("transactions: fenced by an administrator", () -> {
            try (Producer<String, String> writer = producer("transactional.id", RUN + "-admin-fenced")) {
                writer.initTransactions();
                writer.beginTransaction();
                writer.send(new ProducerRecord<>(topic(admin, "admin-fenced", 1), "x")).get();
                admin.fenceProducers(List.of(RUN + "-admin-fenced")).all().get();
                refused(ProducerFencedException.class, writer::commitTransaction);
            }
        });
        test("transactions: aborted by an administrator", () -> {
            String name = topic(admin, "admin-aborted", 1);
            TopicPartition p = new TopicPartition(name, 0);
            try (Producer<String, String> writer = producer("transactional.id", RUN + "-admin-aborted")) {
                writer.initTransactions();
                writer.beginTransaction();
                writer.send(new ProducerRecord<>(name, "x")).get();
                ProducerState state = admin.describeProducers(List.of(p)).all().get().get(p).activeProducers().get(0);
                admin.abortTransaction(new AbortTransactionSpec(p, state.producerId(), (short) state.producerEpoch(),
                    state.coordinatorEpoch().orElse(0))).all().get();
                same(2L, eventually(() -> end(admin, name, OffsetSpec.latest()), n -> n == 2));
            }
            same(List.of(), values(name, 1, "isolation.level", "read_committed").subList(0, 0));
        });
        for (String protocol : List.of("classic", "consumer")) {
            test("transactions: read, process, write (" + protocol + ")", () -> {
                String in = topic(admin, "in-" + protocol, 2), out = topic(admin, "out-" + protocol, 1), id = RUN + "-eos-" + protocol;
                fill(in, RECORDS);
                try (Producer<String, String> writer = producer("transactional.id", id);
                    Consumer<String, String> member = consumer("group.id", id, "group.protocol", protocol)) {
                    writer.initTransactions();
                    member.subscribe(List.of(in));
                    int done = 0;
                    long end = System.nanoTime() + 30_000_000_000L;
                    while (done < RECORDS && System.nanoTime() < end) {
                        ConsumerRecords<String, String> records = member.poll(Duration.ofMillis(200));
                        if (records.isEmpty()) continue;
                        writer.beginTransaction();
                        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                        for (ConsumerRecord<String, String> record : records) {
                            writer.send(new ProducerRecord<>(out, record.key(), record.value()));
                            offsets.put(new TopicPartition(record.topic(), record.partition()), new OffsetAndMetadata(record.offset() + 1));
                        }
                        writer.sendOffsetsToTransaction(offsets, member.groupMetadata());
                        writer.commitTransaction();
                        done += records.count();
                    }
                    same(RECORDS, done);
                }
                same(RECORDS, new HashSet<>(values(out, RECORDS, "isolation.level", "read_committed")).size());
                same((long) RECORDS, admin.listConsumerGroupOffsets(id).partitionsToOffsetAndMetadata().get().values().stream()
                    .mapToLong(OffsetAndMetadata::offset).sum());
            });
        }
        test("transactions: offsets of an aborted one do not count", () -> {
            String name = topic(admin, "aborted-offsets", 1), id = RUN + "-aborted-offsets";
            fill(name, 5);
            TopicPartition p = new TopicPartition(name, 0);
            try (Producer<String, String> writer = producer("transactional.id", id);
                Consumer<String, String> member = consumer("group.id", id)) {
                writer.initTransactions();
                member.subscribe(List.of(name));
                take(member, 5, 20);
                writer.beginTransaction();
                writer.sendOffsetsToTransaction(Map.of(p, new OffsetAndMetadata(5)), member.groupMetadata());
                writer.abortTransaction();
                holds(member.committed(Set.of(p)).get(p) == null, "committed");
                writer.beginTransaction();
                writer.sendOffsetsToTransaction(Map.of(p, new OffsetAndMetadata(3)), member.groupMetadata());
                writer.commitTransaction();
                same(3L, eventually(() -> member.committed(Set.of(p)).get(p).offset(), n -> true));
                refused(CommitFailedException.class, () -> {
                    writer.beginTransaction();
                    writer.sendOffsetsToTransaction(Map.of(p, new OffsetAndMetadata(4)), new ConsumerGroupMetadata(id, 77, "nobody", Optional.empty()));
                });
            }
        });
        test("transactions: too long a time-out", () -> {
            try (Producer<String, String> writer = producer("transactional.id", RUN + "-long", "transaction.timeout.ms", 2_000_000)) {
                refused(KafkaException.class, writer::initTransactions);
            }
        });
        test("transactions: one that takes too long is aborted", () -> {
            String name = topic(admin, "timed-out", 1);
            try (Producer<String, String> writer = producer("transactional.id", RUN + "-timed-out", "transaction.timeout.ms", 2000)) {
                writer.initTransactions();
                writer.beginTransaction();
                writer.send(new ProducerRecord<>(name, "x")).get();
                Map<TopicPartition, OffsetSpec> latest = Map.of(new TopicPartition(name, 0), OffsetSpec.latest());
                for (int i = 0; i < 300; i++) {
                    if (admin.listOffsets(latest, new ListOffsetsOptions(IsolationLevel.READ_COMMITTED)).all().get().values().iterator().next()
                        .offset() == 2) return;
                    Thread.sleep(100);
                }
                throw new AssertionError("still open");
            }
        });
    }

    static void cluster(Admin admin) {
        test("cluster: describe", () -> {
            DescribeClusterResult found = admin.describeCluster();
            holds(found.nodes().get().contains(found.controller().get()), found.controller().get());
            holds(!found.clusterId().get().isEmpty(), found.clusterId().get());
        });
        test("cluster: features", () -> {
            FeatureMetadata found = admin.describeFeatures().featureMetadata().get();
            holds(found.finalizedFeatures().keySet().containsAll(
                Set.of("metadata.version", "transaction.version", "group.version")), found.finalizedFeatures());
            same((short) 2, found.finalizedFeatures().get("transaction.version").maxVersionLevel());
            refused(InvalidUpdateVersionException.class, () -> admin.updateFeatures(
                Map.of("transaction.version", new FeatureUpdate((short) 99, FeatureUpdate.UpgradeType.UPGRADE)),
                new UpdateFeaturesOptions()).all().get());
        });
        test("cluster: quorum", () -> {
            QuorumInfo found = admin.describeMetadataQuorum().quorumInfo().get();
            holds(found.voters().stream().anyMatch(voter -> voter.replicaId() == found.leaderId()), found);
            holds(found.highWatermark() > 0, found.highWatermark());
        });
        test("cluster: log directories", () -> {
            String name = topic(admin, "directories", 1);
            fill(name, 100);
            List<Integer> ids = admin.describeCluster().nodes().get().stream().map(Node::id).collect(Collectors.toList());
            long size = admin.describeLogDirs(ids).allDescriptions().get().values().stream().flatMap(dirs -> dirs.values().stream())
                .flatMap(dir -> dir.replicaInfos().entrySet().stream()).filter(one -> one.getKey().topic().equals(name))
                .mapToLong(one -> one.getValue().size()).max().orElse(-1);
            holds(size > 500, size);
        });
        test("cluster: elect leaders", () -> {
            String name = topic(admin, "elected", 1);
            refused(ElectionNotNeededException.class, () -> admin.electLeaders(ElectionType.PREFERRED,
                Set.of(new TopicPartition(name, 0))).partitions().get().values().iterator().next().ifPresent(error -> {
                    throw (RuntimeException) error;
                }));
        });
        test("cluster: client quotas", () -> {
            ClientQuotaEntity user = new ClientQuotaEntity(Map.of(ClientQuotaEntity.USER, RUN));
            admin.alterClientQuotas(List.of(new ClientQuotaAlteration(user, List.of(
                new ClientQuotaAlteration.Op("producer_byte_rate", 1e6), new ClientQuotaAlteration.Op("request_percentage", 50.0))))).all().get();
            ClientQuotaFilter filter = ClientQuotaFilter.containsOnly(List.of(ClientQuotaFilterComponent.ofEntity(ClientQuotaEntity.USER, RUN)));
            same(Map.of("producer_byte_rate", 1e6, "request_percentage", 50.0),
                eventually(() -> admin.describeClientQuotas(filter).entities().get().getOrDefault(user, Map.of()), q -> q.size() == 2));
            admin.alterClientQuotas(List.of(new ClientQuotaAlteration(user, List.of(
                new ClientQuotaAlteration.Op("producer_byte_rate", null), new ClientQuotaAlteration.Op("request_percentage", null))))).all().get();
            eventually(() -> admin.describeClientQuotas(filter).entities().get(), Map::isEmpty);
            refused(InvalidRequestException.class, () -> admin.alterClientQuotas(List.of(new ClientQuotaAlteration(user, List.of(
                new ClientQuotaAlteration.Op("no_such_rate", 1.0))))).all().get());
        });
        test("cluster: a quota throttles", () -> {
            String name = topic(admin, "throttled", 1), client = RUN + "-throttled";
            ClientQuotaEntity entity = new ClientQuotaEntity(Map.of(ClientQuotaEntity.CLIENT_ID, client));
            admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(
                new ClientQuotaAlteration.Op("producer_byte_rate", 10_000.0))))).all().get();
            Thread.sleep(500);
            try (Producer<String, String> writer = producer("client.id", client, "linger.ms", 0)) {
                for (int i = 0; i < 8; i++) writer.send(new ProducerRecord<>(name, "x".repeat(50_000))).get();
                double throttled = (double) writer.metrics().entrySet().stream()
                    .filter(one -> one.getKey().name().equals("produce-throttle-time-max")).findFirst().get().getValue().metricValue();
                holds(throttled > 100, throttled + " ms");
            }
        });
    }

    static void security(Admin admin) {
        test("security: SCRAM credentials", () -> {
            UserScramCredentialUpsertion upsert = new UserScramCredentialUpsertion(RUN,
                new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096), "secret");
            admin.alterUserScramCredentials(List.of(upsert)).all().get();
            UserScramCredentialsDescription found = eventually(
                () -> admin.describeUserScramCredentials(List.of(RUN)).description(RUN).get(), d -> true);
            same(List.of(new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)), found.credentialInfos());
            admin.alterUserScramCredentials(List.of(new UserScramCredentialDeletion(RUN, ScramMechanism.SCRAM_SHA_256))).all().get();
            eventually(() -> admin.describeUserScramCredentials().users().get(), users -> !users.contains(RUN));
            refused(ResourceNotFoundException.class, () -> admin.alterUserScramCredentials(
                List.of(new UserScramCredentialDeletion(RUN, ScramMechanism.SCRAM_SHA_256))).all().get());
            refused(UnacceptableCredentialException.class, () -> admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion(
                RUN, new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 10), "secret"))).all().get());
        });
        test("security: ACLs without an authorizer", () -> {
            AclBinding binding = new AclBinding(new ResourcePattern(ResourceType.TOPIC, RUN, PatternType.LITERAL),
                new AccessControlEntry("User:alice", "*", AclOperation.READ, AclPermissionType.ALLOW));
            refused(SecurityDisabledException.class, () -> admin.createAcls(List.of(binding)).all().get());
            refused(SecurityDisabledException.class, () -> admin.describeAcls(AclBindingFilter.ANY).values().get());
            refused(SecurityDisabledException.class, () -> admin.deleteAcls(List.of(AclBindingFilter.ANY)).all().get());
        });
        test("security: no delegation token without authentication", () -> {
            refused(UnsupportedByAuthenticationException.class, () -> admin.createDelegationToken().delegationToken().get());
        });
    }

    static void replicas(Admin admin) {
        test("replicas: reassigned", () -> {
            List<Integer> ids = admin.describeCluster().nodes().get().stream().map(Node::id).sorted().collect(Collectors.toList());
            String name = RUN + "-reassigned";
            TopicPartition p = new TopicPartition(name, 0);
            admin.createTopics(List.of(new NewTopic(name, Map.of(0, ids.subList(0, 1))))).all().get();
            fill(name, RECORDS);
            admin.alterPartitionReassignments(Map.of(p, Optional.of(new NewPartitionReassignment(ids.subList(1, 3))))).all().get();
            eventually(() -> admin.listPartitionReassignments(Set.of(p)).reassignments().get(), Map::isEmpty);
            TopicPartitionInfo found = eventually(
                () -> admin.describeTopics(List.of(name)).allTopicNames().get().get(name).partitions().get(0),
                one -> one.isr().size() == 2 && one.replicas().size() == 2);
            same(new TreeSet<>(ids.subList(1, 3)), found.replicas().stream().map(Node::id).collect(Collectors.toCollection(TreeSet::new)));
            same(RECORDS, values(name, RECORDS).size());
            refused(NoReassignmentInProgressException.class,
                () -> admin.alterPartitionReassignments(Map.of(p, Optional.empty())).all().get());
            refused(InvalidReplicaAssignmentException.class, () -> admin.alterPartitionReassignments(
                Map.of(p, Optional.of(new NewPartitionReassignment(List.of(77))))).all().get());
        });
        test("replicas: the preferred leader takes over", () -> {
            List<Integer> ids = admin.describeCluster().nodes().get().stream().map(Node::id).sorted().collect(Collectors.toList());
            String name = RUN + "-preferred";
            TopicPartition p = new TopicPartition(name, 0);
            admin.createTopics(List.of(new NewTopic(name, Map.of(0, List.of(ids.get(0), ids.get(1)))))).all().get();
            eventually(() -> admin.describeTopics(List.of(name)).allTopicNames().get().get(name).partitions().get(0).isr().size(), n -> n == 2);
            admin.alterPartitionReassignments(Map.of(p, Optional.of(new NewPartitionReassignment(List.of(ids.get(1), ids.get(0)))))).all().get();
            eventually(() -> admin.listPartitionReassignments(Set.of(p)).reassignments().get(), Map::isEmpty);
            admin.electLeaders(ElectionType.PREFERRED, Set.of(p)).all().get();
            eventually(() -> admin.describeTopics(List.of(name)).allTopicNames().get().get(name).partitions().get(0).leader().id(),
                leader -> leader.equals(ids.get(1)));
        });
    }
}
