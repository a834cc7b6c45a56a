//! Clients that were told of no broker at all.
//!
//! A broker that was away for longer than its session (9 s) is fenced when it comes back, until its
//! next heartbeat. Where it is the only one, it names no broker meanwhile. librdkafka forgets those
//! that are not named (its bootstrap servers as soon as it knows others), and looks for bootstrap
//! servers again when a broker that it knows fails: with none left, never. So it would stand still
//! for good.

use std::ffi::c_char;

use rdkafka::bindings::{
    rd_kafka_brokers_add, rd_kafka_conf, rd_kafka_conf_get, rd_kafka_conf_res_t,
    rd_kafka_controllerid,
};
use rdkafka::client::{Client, ClientContext};

/// No controller, which is what metadata without brokers say. As long as there are no metadata as
/// well; then the bootstrap servers are still there, and adding them changes nothing.
const NONE: i32 = -1;

/// Gives a client its bootstrap servers back when it may have forgotten all brokers. Asks nobody;
/// to be called again and again.
pub fn bootstrap_if_lost<C: ClientContext>(client: &Client<C>) {
    let client = client.native_ptr();
    // SAFETY: the client lives during the calls. What has no time to wait does not wait.
    if unsafe { rd_kafka_controllerid(client, 0) } != NONE {
        return;
    }
    let name = c"bootstrap.servers".as_ptr();
    let mut size = 0;
    // SAFETY: the configuration lives as long as the client; without room, the size is told.
    let told =
        unsafe { rd_kafka_conf_get(rd_kafka_conf(client), name, std::ptr::null_mut(), &mut size) };
    if told != rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
        return;
    }
    let mut servers: Vec<c_char> = vec![0; size];
    // SAFETY: there is room for the text and its end, and what is not written is an end.
    unsafe {
        rd_kafka_conf_get(rd_kafka_conf(client), name, servers.as_mut_ptr(), &mut size);
        rd_kafka_brokers_add(client, servers.as_ptr());
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::{Duration, Instant};

    use rdkafka::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};

    use super::bootstrap_if_lost;

    const METADATA: u16 = 3;
    const API_VERSIONS: u16 = 18;
    const UNSUPPORTED_VERSION: u16 = 35;
    const UNKNOWN_TOPIC: u16 = 3;

    /// As much of a broker as a client asks for before it asks for records, in versions without
    /// tags (`https://kafka.apache.org/protocol`). It names itself while `names_itself`.
    fn serve(mut client: TcpStream, port: u16, names_itself: &AtomicBool) -> std::io::Result<()> {
        loop {
            let mut size = [0; 4];
            client.read_exact(&mut size)?;
            let mut request = vec![0; u32::from_be_bytes(size) as usize];
            client.read_exact(&mut request)?;
            let number = |at| u16::from_be_bytes([request[at], request[at + 1]]);
            let (key, version) = (number(0), number(2));
            let mut answer = request[4..8].to_vec();
            if key == API_VERSIONS {
                let error = if version == 0 { 0 } else { UNSUPPORTED_VERSION };
                answer.extend(error.to_be_bytes());
                answer.extend(2_u32.to_be_bytes());
                for (key, newest) in [(METADATA, 1_u16), (API_VERSIONS, 0)] {
                    answer.extend([key, 0, newest].map(u16::to_be_bytes).concat());
                }
            } else {
                let named = names_itself.load(Ordering::Relaxed);
                answer.extend(u32::from(named).to_be_bytes());
                if named {
                    answer.extend([0, 0, 0, 1, 0, 9]);
                    answer.extend(b"127.0.0.1");
                    answer.extend(u32::from(port).to_be_bytes());
                    answer.extend([0xff, 0xff]);
                }
                answer.extend(if named { 1_i32 } else { -1 }.to_be_bytes());
                // Of the topics that are asked for, none is there.
                let mut topics = &request[10 + usize::from(number(8))..];
                answer.extend(&topics[..4]);
                topics = &topics[4..];
                while let [high, low, rest @ ..] = topics {
                    let (name, rest) =
                        rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
                    answer.extend(UNKNOWN_TOPIC.to_be_bytes());
                    answer.extend([*high, *low]);
                    answer.extend(name);
                    answer.extend([0; 5]);
                    topics = rest;
                }
            }
            client.write_all(&u32::try_from(answer.len()).unwrap().to_be_bytes())?;
            client.write_all(&answer)?;
        }
    }

    #[test]
    fn a_client_that_was_told_of_no_broker_finds_them_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let names_itself = Arc::new(AtomicBool::new(true));
        std::thread::spawn({
            let names_itself = names_itself.clone();
            move || {
                for client in listener.incoming().map_while(Result::ok) {
                    let names_itself = names_itself.clone();
                    std::thread::spawn(move || serve(client, port, &names_itself));
                }
            }
        });
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", format!("127.0.0.1:{port}"))
            .set("reconnect.backoff.max.ms", "100")
            .create()
            .unwrap();
        let ask = |seconds| {
            let metadata = consumer.fetch_metadata(Some("topic"), Duration::from_secs(seconds));
            metadata.map(|metadata| metadata.brokers().len())
        };
        assert_eq!(ask(60).unwrap(), 1);
        bootstrap_if_lost(consumer.client());
        names_itself.store(false, Ordering::Relaxed);
        assert_eq!(ask(60).unwrap(), 0);

        names_itself.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + Duration::from_secs(60);
        // Is it found without, then librdkafka has learnt it, and `bootstrap_if_lost` may go.
        assert!(ask(5).is_err(), "nobody is left to be asked");
        loop {
            bootstrap_if_lost(consumer.client());
            match ask(1) {
                Ok(brokers) => break assert_eq!(brokers, 1),
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
        }
    }
}
