//! What the same machine does without TimeRose: an echo between two Kubos,
//! over pubsub and over a p2p stream, and appends to a file that reach the
//! disk. Nothing of the mesh takes part; both ends are this process.

use std::{
    fs::OpenOptions,
    io::{self, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::try_join3;
use tokio::time::{Instant, timeout};

use super::{
    plan::INPUT_BYTES,
    series::{millis, per_second},
};
use crate::{
    cli::dev::{Error, KuboDaemon},
    kubo::{self, Client, Subscription},
    task::Tasks,
};

/// An echo over pubsub that takes longer is lost, as happens when a sidecar
/// publishes at the same moment.
const LOST: Duration = Duration::from_millis(500);

/// A stream that is silent for longer is broken.
const BROKEN: Duration = Duration::from_secs(5);

/// How long two Kubos may take to see each other's subscriptions, or a run to
/// have a first echo.
const SEEN: Duration = Duration::from_secs(20);

/// How often that is looked at.
const POLL: Duration = Duration::from_millis(25);

/// Echoes that come before everything that counts.
const WARM_UP: Duration = Duration::from_millis(200);

/// Bytes of an append: a page, as a database writes it.
const APPENDED: usize = 4096;

/// The protocol of the echo over a stream.
const PROTOCOL: &str = "/x/timerose/bench/echo";

/// An echo between two Kubos.
#[derive(Debug)]
pub(super) enum Echo {
    /// Over topics of its own.
    Pubsub(Box<PubsubEcho>),
    /// Over one stream.
    Stream(StreamEcho),
}

impl Echo {
    /// One after the other for `budget`; the milliseconds of each.
    pub(super) async fn run(&mut self, budget: Duration) -> Result<Vec<f64>, Error> {
        match self {
            Self::Pubsub(echo) => echo.run(budget).await,
            Self::Stream(echo) => echo.run(budget).await,
        }
    }
}

/// One end of an echo over pubsub.
#[derive(Debug)]
struct End {
    kubo: Client,
    topic: String,
    inbox: Subscription,
}

impl End {
    async fn open(kubo: &Client, name: &str) -> Result<Self, Error> {
        let topic = format!("timerose/bench/{name}/{}", ulid::Ulid::new());
        let inbox = kubo.subscribe(&topic).await?;
        Ok(Self {
            kubo: kubo.clone(),
            topic,
            inbox,
        })
    }

    /// Waits until another Kubo sees the subscription.
    async fn seen_by(&self, other: &Client) -> Result<(), Error> {
        let seen = async {
            while other.topic_peers(&self.topic).await?.is_empty() {
                tokio::time::sleep(POLL).await;
            }
            Ok::<_, kubo::Error>(())
        };
        match timeout(SEEN, seen).await {
            Ok(seen) => Ok(seen?),
            Err(_) => Err(Error::NotReady {
                name: "pubsub between the two Kubos".to_owned(),
                after: SEEN,
                log: String::new(),
            }),
        }
    }

    /// The message that begins with `number`; older ones were given up.
    async fn numbered(&mut self, number: u64) -> Result<Bytes, kubo::Error> {
        while let Some(message) = self.inbox.next().await? {
            if message.data.starts_with(&number.to_be_bytes()) {
                return Ok(message.data);
            }
        }
        Err(kubo::Error::EmptyAnswer {
            command: "pubsub/sub",
        })
    }
}

/// A message to the other Kubo and back.
#[derive(Debug)]
pub(super) struct PubsubEcho {
    here: End,
    there: End,
    next: u64,
}

impl PubsubEcho {
    /// Subscribes at both Kubos.
    pub(super) async fn open(here: &KuboDaemon, there: &KuboDaemon) -> Result<Self, Error> {
        let (here, there) = (here.client(), there.client());
        let mut echo = Self {
            here: End::open(here, "here").await?,
            there: End::open(there, "there").await?,
            next: 0,
        };
        echo.here.seen_by(there).await?;
        echo.there.seen_by(here).await?;
        echo.run(WARM_UP).await?;
        Ok(echo)
    }

    async fn run(&mut self, budget: Duration) -> Result<Vec<f64>, Error> {
        let until = Instant::now() + budget;
        let mut samples = Vec::new();
        let patience = until + SEEN;
        while Instant::now() < until || (samples.is_empty() && Instant::now() < patience) {
            match timeout(LOST, self.echo()).await {
                Ok(Ok(took)) => samples.push(millis(took)),
                Ok(Err(error)) if !error.retryable() => return Err(error),
                Ok(Err(_)) | Err(_) => {}
            }
        }
        Ok(samples)
    }

    async fn echo(&mut self) -> Result<Duration, Error> {
        let Self { here, there, next } = self;
        *next += 1;
        let mut payload = vec![0; INPUT_BYTES];
        if let Some(head) = payload.first_chunk_mut() {
            *head = next.to_be_bytes();
        }
        let (to, back) = (there.topic.clone(), here.topic.clone());
        let began = Instant::now();
        let answered = async {
            let payload = there.numbered(*next).await?;
            there.kubo.publish(&back, payload).await
        };
        let kubo = here.kubo.clone();
        let heard = async {
            here.numbered(*next).await?;
            Ok(began.elapsed())
        };
        let sent = kubo.publish(&to, payload.into());
        Ok(try_join3(sent, answered, heard).await?.2)
    }
}

/// Bytes through a stream to the other Kubo and back. Both ends block, each on
/// a thread of its own: nothing is quicker, and a floor is what cannot be.
#[derive(Debug)]
pub(super) struct StreamEcho {
    tasks: Tasks,
    stream: Arc<TcpStream>,
}

impl StreamEcho {
    /// Has the other Kubo lead a stream to this process.
    pub(super) async fn open(
        here: &KuboDaemon,
        there: &KuboDaemon,
        tasks: &Tasks,
    ) -> Result<Self, Error> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(broken)?;
        let address = listener.local_addr().map_err(broken)?;
        there.client().stream_listen(PROTOCOL, address).await?;
        let peer = there.client().id().await?.peer;
        let forward = here.client().stream_forward(PROTOCOL, &peer).await?;
        let stream = connect(forward.local).map_err(broken)?;
        tasks.spawn_blocking(move || answer(&listener));
        let echo = Self {
            tasks: tasks.clone(),
            stream: Arc::new(stream),
        };
        echo.run(WARM_UP).await?;
        Ok(echo)
    }

    async fn run(&self, budget: Duration) -> Result<Vec<f64>, Error> {
        let stream = Arc::clone(&self.stream);
        let asked = self.tasks.spawn_blocking(move || ask(&stream, budget));
        asked
            .await
            .map_err(io::Error::other)
            .flatten()
            .map_err(broken)
    }
}

fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(BROKEN))?;
    Ok(stream)
}

/// Echoes what comes over one connection, until that is closed.
fn answer(listener: &TcpListener) -> io::Result<()> {
    let (mut stream, _from) = listener.accept()?;
    stream.set_nodelay(true)?;
    let mut buffer = [0; INPUT_BYTES];
    loop {
        stream.read_exact(&mut buffer)?;
        stream.write_all(&buffer)?;
    }
}

fn ask(mut stream: &TcpStream, budget: Duration) -> io::Result<Vec<f64>> {
    let mut buffer = [7; INPUT_BYTES];
    let until = Instant::now() + budget;
    let mut samples = Vec::new();
    while Instant::now() < until {
        let began = Instant::now();
        stream.write_all(&buffer)?;
        stream.read_exact(&mut buffer)?;
        samples.push(millis(began.elapsed()));
    }
    Ok(samples)
}

fn broken(source: io::Error) -> Error {
    Error::File {
        path: PathBuf::from("the echo over a stream"),
        source,
    }
}

/// Appends to a file in `folder` that are on the disk, per second.
pub(super) async fn appends(folder: &Path, budget: Duration, tasks: &Tasks) -> Result<f64, Error> {
    let file = folder.join("bench-append");
    let (path, appending) = (file.clone(), file.clone());
    let appended = tasks
        .spawn_blocking(move || append(&appending, budget))
        .await;
    let _gone_with_the_folder = std::fs::remove_file(&file);
    let appended = appended.map_err(io::Error::other).flatten();
    appended.map_err(|source| Error::File { path, source })
}

fn append(path: &Path, budget: Duration) -> io::Result<f64> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let page = [1; APPENDED];
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < budget {
        file.write_all(&page)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(per_second(count, began.elapsed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn appends_leave_no_file_behind() {
        let dir = tempfile::tempdir().unwrap();
        let tasks = Tasks::new();
        let rate = appends(dir.path(), Duration::from_millis(20), &tasks).await;
        assert!(rate.unwrap() > 0.0);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(
            appends(&dir.path().join("nowhere"), Duration::ZERO, &tasks)
                .await
                .is_err()
        );
    }

    #[test]
    fn an_echo_takes_as_long_as_the_way_there_and_back() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let answering = std::thread::spawn(move || answer(&listener));
        let stream = connect(address).unwrap();
        let samples = ask(&stream, Duration::from_millis(20)).unwrap();
        assert!(!samples.is_empty() && samples.iter().all(|ms| *ms > 0.0));
        drop(stream);
        assert!(
            answering.join().unwrap().is_err(),
            "it ends with the stream"
        );
    }
}
