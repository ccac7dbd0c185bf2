//! What a world is made of: the run's settings, machines, links.

use trial_node::Span;

/// How messages travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wire {
    /// The receiver gets what the sender sent; its encoding only gives hash and size.
    #[default]
    Typed,
    /// The receiver gets what it decodes from the sender's encoding. Slower; must give the same trace hash.
    Bytes,
}

/// The settings of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorldConfig {
    /// All randomness comes from it.
    pub seed: u64,
    /// How messages travel.
    pub wire: Wire,
    /// Milliseconds since the Unix epoch at the start of the run, on a right wall clock.
    pub wall_start_ms: i64,
    /// A checkpoint of the trace hash is kept every so many events; 0 keeps none.
    pub checkpoint_every: u64,
    /// What every link between two hosts is like, unless [`crate::World::set_link`] says otherwise.
    pub link: LinkProfile,
    /// How long a message travels from a host to itself.
    pub loopback: Span,
    /// How many bytes one connection may have under way or unread at its receiver, in each direction: socket buffers and
    /// TCP's window. A single larger message still goes, alone.
    pub window_bytes: u32,
}

/// How long a message travels, without the time for its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// Always the same.
    Constant(Span),
    /// Anything from `low` to `high`, both included, all alike.
    Uniform {
        /// The shortest.
        low: Span,
        /// The longest.
        high: Span,
    },
    /// Mostly near `median`, rarely much longer, as on a shared network: log-normal with σ = 0.5, cut at 0.1 % on either
    /// side, from a table of integers. The mean is 1.14 × the median, p90 1.9 ×, p99 3.5 ×, the longest 4.7 ×.
    LongTail {
        /// Half of all messages are faster.
        median: Span,
    },
}

/// One direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkProfile {
    /// How long a message travels.
    pub latency: Latency,
    /// Bytes per second that it carries; 0 means without limit.
    pub bytes_per_s: u64,
}

/// What a machine costs. The default costs nothing: every step takes no time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MachineProfile {
    /// Bytes per second into the machine's network card; 0 means without limit.
    pub nic_in_bytes_per_s: u64,
    /// Bytes per second out of it; 0 means without limit.
    pub nic_out_bytes_per_s: u64,
    /// Its disk.
    pub disk: DiskProfile,
    /// Its processor.
    pub cpu: CpuProfile,
}

/// What a disk costs. Rates are in bytes per second; 0 means no cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskProfile {
    /// Each operation, synced or not: the system call.
    pub operation: Span,
    /// Copying into the page cache.
    pub write_bytes_per_s: u64,
    /// Reading.
    pub read_bytes_per_s: u64,
    /// An fsync, whatever it moves.
    pub sync_latency: Span,
    /// What the device writes: an fsync waits for the bytes that it has to move, and for those before it.
    pub device_bytes_per_s: u64,
}

/// What a node's thread needs for its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuProfile {
    /// For each request or response that it takes in.
    pub per_message_in: Span,
    /// For each request or response that it sends.
    pub per_message_out: Span,
    /// For each KiB taken in or sent, in nanoseconds.
    pub ns_per_kib: u64,
    /// For each KiB of produced record batches, in addition, by codec: none, gzip, snappy, lz4, zstd; in nanoseconds.
    /// Charged to the producer, which compresses, and to the broker, which validates.
    pub codec_ns_per_kib: [u64; 5],
}

/// A machine and what runs on it.
#[derive(Clone, Debug)]
pub struct HostSpec<C> {
    /// Its name in the network; each once.
    pub name: String,
    /// The ports that its node accepts connections on.
    pub ports: Vec<u16>,
    /// What it costs.
    pub profile: MachineProfile,
    /// What its node is opened with, at each start.
    pub config: C,
}

impl Default for LinkProfile {
    /// 100 µs each way, without limit.
    fn default() -> Self {
        LinkProfile { latency: Latency::Constant(Span::from_micros(100)), bytes_per_s: 0 }
    }
}

impl WorldConfig {
    /// Typed messages, links of 100 µs, a checkpoint every 65,536 events, the first of January 2025.
    pub fn new(seed: u64) -> WorldConfig {
        WorldConfig {
            seed,
            wire: Wire::Typed,
            wall_start_ms: 1_735_689_600_000,
            checkpoint_every: 65_536,
            link: LinkProfile::default(),
            loopback: Span::from_micros(20),
            window_bytes: 1 << 20,
        }
    }
}
