//! One real Apache Kafka for the whole test process: KRaft, one node, free ports, a temporary
//! directory. It ends with the process, however that ends.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::sys::wait;
use nix::unistd::Pid;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tempfile::TempDir;

use crate::proxy::refuse_first_batches;
use crate::{PATIENCE, target_dir};

/// The largest record that the broker takes.
pub const MAX_RECORD: usize = 20 << 20;

/// The user that may not do anything, with the password of the same name, on
/// [`Broker::restricted`].
pub const RESTRICTED_USER: &str = "restricted";

/// A user who may do what [`allow`](crate::acl::allow) says, with the password of the same name,
/// likewise.
pub const TENANT_USER: &str = "tenant";

/// What a broker is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// [`broker`]: to be there and take little.
    Tests,
    /// [`start_for_measuring`].
    Measuring,
    /// [`start_for_measuring_tails`].
    MeasuringTails,
}

impl Purpose {
    const fn java(self) -> &'static [&'static str] {
        match self {
            Self::Tests => &["-XX:+UseSerialGC", "-Xmx512m"],
            // The live objects are few, and collecting garbage takes as long as they are many. So
            // the more room there is for garbage, the less often does the broker stand still, and
            // not for longer.
            Self::Measuring => &["-XX:+UseSerialGC", "-Xmx3g", "-Xmn2g"],
            // Not before there is need to.
            Self::MeasuringTails => &["-XX:+UseZGC", "-Xmx4g", "-XX:-ZProactive"],
        }
    }

    /// Where those of this purpose have their directories.
    fn directories(self) -> PathBuf {
        match self {
            Self::Tests | Self::Measuring => target_dir().join("kafka/run"),
            Self::MeasuringTails => Path::new("/dev/shm").join("comux-tests-kafka"),
        }
    }
}

/// A running broker. It is killed when this is dropped, or when the thread that started it ends.
pub struct Broker {
    process: Child,
    directory: Directory,
    port: u16,
    restricted_port: u16,
    /// The broker's own port behind it, and where clients are told that it is.
    proxied: (u16, TcpListener),
    purpose: Purpose,
}

impl Broker {
    /// Starts a broker and waits until it answers.
    ///
    /// # Panics
    /// When it does not; with what it had to say.
    #[must_use]
    pub fn start() -> Self {
        Self::start_for(Purpose::Tests)
    }

    fn start_for(purpose: Purpose) -> Self {
        let mut said = String::new();
        // Between finding free ports and using them, another process may take one.
        for _ in 0..3 {
            match Self::try_start(purpose) {
                Ok(broker) => return broker,
                Err(log) => said = log,
            }
        }
        panic!("Kafka did not start:\n{said}");
    }

    fn try_start(purpose: Purpose) -> Result<Self, String> {
        let directory = Directory::new(purpose);
        let [port, restricted_port, controller_port, behind_proxy] = free_ports();
        let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy_port = proxy.local_addr().unwrap().port();
        let properties = directory.path.path().join("server.properties");
        let text = server_properties(
            directory.path.path(),
            [port, restricted_port, controller_port],
            [behind_proxy, proxy_port],
        );
        fs::write(&properties, text).unwrap();

        let format = java("kafka.tools.StorageTool", purpose)
            .args(["format", "--cluster-id", "comuxTestsCluster00000", "--config"])
            .arg(&properties)
            .output()
            .expect("java; `make setup-test` installs it");
        if !format.status.success() {
            return Err(String::from_utf8_lossy(&format.stdout).into_owned()
                + &String::from_utf8_lossy(&format.stderr));
        }
        let log = directory.path.path().join("log");
        let output = File::create(&log).unwrap();
        let process = dies_with_this_thread(&mut java("kafka.Kafka", purpose))
            .arg(&properties)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let proxied = (behind_proxy, proxy);
        let mut broker = Self { process, directory, port, restricted_port, proxied, purpose };
        let said = || fs::read_to_string(&log).unwrap_or_default();
        broker.wait_until_it_answers().map_err(|why| format!("{why}\n{}", said()))?;
        Ok(broker)
    }

    fn wait_until_it_answers(&mut self) -> Result<(), String> {
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.bootstrap())
            .set("log_level", "0")
            .create()
            .unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return Err(format!("the broker ended: {status}"));
            }
            match client.fetch_metadata(None, Duration::from_secs(1)) {
                Ok(metadata) if !metadata.brokers().is_empty() => return Ok(()),
                answer if Instant::now() > deadline => {
                    return Err(format!("no answer: {:?}", answer.err()));
                }
                _ => {}
            }
        }
    }

    /// `host:port` for clients that may do everything.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Has it stand still, or go on.
    ///
    /// # Panics
    /// When it has ended.
    pub fn stand_still(&self, stands: bool) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        let signal = if stands { Signal::SIGSTOP } else { Signal::SIGCONT };
        signal::kill(pid, signal).expect("the broker runs");
    }

    /// `host:port` for [`RESTRICTED_USER`], over SASL/PLAIN.
    #[must_use]
    pub fn restricted(&self) -> String {
        format!("127.0.0.1:{}", self.restricted_port)
    }

    /// `host:port` of a broker that refuses the first batch of records for
    /// each of these topics. For one test of a process.
    ///
    /// # Panics
    /// When a socket can't be had.
    #[must_use]
    pub fn refusing_first_batches(&self, topics: &[&str]) -> String {
        let (port, proxy) = &self.proxied;
        let address = proxy.local_addr().unwrap();
        refuse_first_batches(proxy.try_clone().unwrap(), *port, topics);
        address.to_string()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A broker's directory, locked for as long as its process may live.
///
/// The broker of a whole test process has nobody to delete its directory in the end, so each that
/// comes deletes those that are no longer locked.
struct Directory {
    path: TempDir,
    _lock: File,
}

impl Directory {
    fn new(purpose: Purpose) -> Self {
        let all = purpose.directories();
        fs::create_dir_all(&all).unwrap();
        // Nobody deletes while another has created but not locked.
        let one_at_a_time = File::create(all.join("lock")).unwrap();
        one_at_a_time.lock().unwrap();
        for entry in fs::read_dir(&all).unwrap() {
            let path = entry.unwrap().path();
            if let Ok(lock) = File::open(path.join("lock"))
                && lock.try_lock().is_ok()
            {
                fs::remove_dir_all(&path).unwrap();
            }
        }
        let path = tempfile::tempdir_in(&all).unwrap();
        let lock = File::create(path.path().join("lock")).unwrap();
        lock.lock().unwrap();
        Self { path, _lock: lock }
    }
}

/// The broker of this process, started on first use.
///
/// # Panics
/// When it can't be started.
pub fn broker() -> &'static Broker {
    shared(Purpose::Tests)
}

/// Starts the broker of this process for a measurement: it collects garbage, and stands still for
/// 30 to 150 ms meanwhile, once in minutes and not every ten seconds. Takes 3 GiB of memory.
///
/// # Panics
/// When it can't be started, or was before.
pub fn start_for_measuring() {
    start_shared(Purpose::Measuring);
}

/// Starts the broker of this process for a measurement in which single records count: it does not
/// stand still. It collects garbage beside its work, for which it takes more of its cores, and has
/// its data in memory, since a write may wait for the disk. Takes 4 GiB, and as much of `/dev/shm`
/// as it is sent, until what is returned is dropped.
///
/// # Panics
/// When it can't be started, or was before.
#[must_use]
pub fn start_for_measuring_tails() -> BrokerGuard {
    BrokerGuard(start_shared(Purpose::MeasuringTails))
}

/// Ends a broker when it is dropped, and gives back what its data took.
pub struct BrokerGuard(&'static Broker);

impl Drop for BrokerGuard {
    fn drop(&mut self) {
        let process = Pid::from_raw(self.0.process.id().cast_signed());
        // Both fail only when it has ended already.
        let _ = signal::kill(process, Signal::SIGKILL);
        let _ = wait::waitpid(process, None);
        // Otherwise the next to come does so.
        let _ = fs::remove_dir_all(self.0.directory.path.path());
    }
}

fn start_shared(purpose: Purpose) -> &'static Broker {
    let broker = shared(purpose);
    assert_eq!(broker.purpose, purpose, "the broker runs already");
    broker
}

fn shared(purpose: Purpose) -> &'static Broker {
    static BROKER: OnceLock<Broker> = OnceLock::new();
    BROKER.get_or_init(|| {
        // Statics are never dropped, and the threads of tests end before the process does. So it is
        // started by a thread that lasts as long as the process, and the kernel ends it then.
        let (started, broker) = mpsc::channel();
        std::thread::Builder::new()
            .name("broker".into())
            .spawn(move || {
                started.send(Broker::start_for(purpose)).unwrap();
                loop {
                    std::thread::park();
                }
            })
            .unwrap();
        broker.recv().expect("the broker started")
    })
}

/// Has the kernel kill the process when the thread that spawns it ends, whatever it ends of.
pub(crate) fn dies_with_this_thread(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec only one system call is made, which allocates nothing and
    // takes no lock.
    unsafe {
        command.pre_exec(|| {
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(std::io::Error::from)
        })
    }
}

/// A client of [`broker`] that is still to be set up.
pub(crate) fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker().bootstrap());
    config
}

/// Three ports of the loopback interface that were free a moment ago.
fn free_ports() -> [u16; 4] {
    let listeners = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn java(class: &str, purpose: Purpose) -> Command {
    let libraries: PathBuf = target_dir().join("kafka/libs");
    assert!(libraries.is_dir(), "{} is missing; run `make setup-test`", libraries.display());
    let mut command = Command::new("java");
    command
        .args(purpose.java())
        .arg("-XX:TieredStopAtLevel=1")
        .arg("-Dorg.apache.logging.log4j.level=WARN")
        .arg("-cp")
        .arg(libraries.join("*"))
        .arg(class);
    command
}

/// Four listeners: one for all that tests do, one on which users have no rights but those they were
/// given, one behind a proxy, one for the broker itself. Topics are created by who needs them, with
/// nothing preallocated and nothing deleted by age, because the tests' timestamps are not of today.
fn server_properties(
    directory: &Path,
    [port, restricted, controller]: [u16; 3],
    [behind_proxy, proxy]: [u16; 2],
) -> String {
    let data = directory.join("data").display().to_string();
    format!(
        r#"process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=CLIENT://127.0.0.1:{port},RESTRICTED://127.0.0.1:{restricted},\
  PROXIED://127.0.0.1:{behind_proxy},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=CLIENT://127.0.0.1:{port},RESTRICTED://127.0.0.1:{restricted},\
  PROXIED://127.0.0.1:{proxy}
listener.security.protocol.map=CLIENT:PLAINTEXT,RESTRICTED:SASL_PLAINTEXT,\
  PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENT
controller.listener.names=CONTROLLER
sasl.enabled.mechanisms=PLAIN
listener.name.restricted.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_{RESTRICTED_USER}="{RESTRICTED_USER}" user_{TENANT_USER}="{TENANT_USER}";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
log.dirs={data}
auto.create.topics.enable=false
message.max.bytes={MAX_RECORD}
replica.fetch.max.bytes={MAX_RECORD}
log.retention.ms=-1
log.index.size.max.bytes=1048576
log.cleaner.dedupe.buffer.size=2097152
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
offsets.topic.segment.bytes=1048576
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=2
background.threads=2
"#
    )
}
