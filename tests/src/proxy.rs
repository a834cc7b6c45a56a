//! A broker between client and broker that is not ready at first.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// `Produce` among requests, and the version whose shape is known here
/// (`https://kafka.apache.org/protocol#The_Messages_Produce`).
const PRODUCE: [u8; 2] = [0, 0];
const VERSION: [u8; 2] = [0, 10];

const NOT_LEADER_OR_FOLLOWER: i16 = 6;

/// How long the first request is held when nothing comes behind it.
const NOTHING_BEHIND: Duration = Duration::from_millis(500);

/// A topic whose first batch of records is refused while the next is under way, as a broker does
/// that becomes its leader between the two.
struct NotReady {
    topic: String,
    has_refused: AtomicBool,
}

/// Passes connections on to the broker at `port`, and refuses the first batch for each of the
/// topics.
pub fn refuse_first_batches(listener: TcpListener, port: u16, topics: &[&str]) {
    let not_ready: Arc<[NotReady]> = topics
        .iter()
        .map(|&topic| NotReady { topic: topic.to_owned(), has_refused: false.into() })
        .collect();
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.expect("a connection");
            let broker = TcpStream::connect(("127.0.0.1", port)).expect("the broker");
            let not_ready = Arc::clone(&not_ready);
            // Ends when either side does.
            thread::spawn(move || pass_on(&client, &broker, &not_ready));
        }
    });
}

/// What the client gets next: an answer that was made here, or the broker's next.
type Answer = Option<Vec<u8>>;

fn pass_on(client: &TcpStream, broker: &TcpStream, not_ready: &[NotReady]) {
    let (answers, next) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = answer(client, broker, next);
            let _ = client.shutdown(std::net::Shutdown::Both);
        });
        let _ = ask(client, broker, not_ready, &answers);
        drop(answers);
        let _ = broker.shutdown(std::net::Shutdown::Both);
    });
}

fn ask(
    client: &TcpStream,
    mut broker: &TcpStream,
    not_ready: &[NotReady],
    answers: &mpsc::Sender<Answer>,
) -> io::Result<()> {
    loop {
        let request = frame(client)?;
        let first = not_ready.iter().find(|it| {
            is_batch_for(&request, &it.topic) && !it.has_refused.swap(true, Ordering::Relaxed)
        });
        let Some(NotReady { topic, .. }) = first else {
            let _ = answers.send(None);
            write_frame(&mut broker, &request)?;
            continue;
        };
        client.set_read_timeout(Some(NOTHING_BEHIND))?;
        match client.peek(&mut [0]) {
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(error);
            }
            _ => client.set_read_timeout(None)?,
        }
        let _ = answers.send(Some(refusal(&request, topic)));
    }
}

fn answer(
    mut client: &TcpStream,
    broker: &TcpStream,
    next: mpsc::Receiver<Answer>,
) -> io::Result<()> {
    for answer in next {
        match answer {
            Some(answer) => write_frame(&mut client, &answer)?,
            None => write_frame(&mut client, &frame(broker)?)?,
        }
    }
    Ok(())
}

/// A request or an answer, without its size.
fn frame(mut from: &TcpStream) -> io::Result<Vec<u8>> {
    let mut size = [0; 4];
    from.read_exact(&mut size)?;
    let mut frame = vec![0; u32::from_be_bytes(size) as usize];
    from.read_exact(&mut frame)?;
    Ok(frame)
}

fn write_frame(to: &mut &TcpStream, frame: &[u8]) -> io::Result<()> {
    to.write_all(&u32::try_from(frame.len()).unwrap().to_be_bytes())?;
    to.write_all(frame)
}

/// Whether it is a request to append to this topic's partition 0.
fn is_batch_for(request: &[u8], topic: &str) -> bool {
    // As a compact string, followed by one partition with number 0.
    let mut named = vec![u8::try_from(topic.len() + 1).expect("a short name")];
    named.extend(topic.as_bytes());
    named.extend([2, 0, 0, 0, 0]);
    let is_batch =
        request.starts_with(&PRODUCE) && request.windows(named.len()).any(|it| it == named);
    assert!(!is_batch || request[2..4] == VERSION, "another version than {VERSION:?}");
    is_batch
}

/// The answer that the partition's leader is another.
fn refusal(request: &[u8], topic: &str) -> Vec<u8> {
    let mut answer = request[4..8].to_vec();
    // No tags; one topic with one partition, whose number is 0.
    answer.extend([0, 2, u8::try_from(topic.len() + 1).unwrap()]);
    answer.extend(topic.as_bytes());
    answer.extend([2, 0, 0, 0, 0]);
    answer.extend(NOT_LEADER_OR_FOLLOWER.to_be_bytes());
    // Neither offset nor times.
    answer.extend([0xff; 24]);
    // No errors of records, no message, no tags of partition and topic; no throttling, no tags.
    answer.extend([1, 0, 0, 0, 0, 0, 0, 0, 0]);
    answer
}
