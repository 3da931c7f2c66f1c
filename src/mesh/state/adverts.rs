//! What adverts cost: meshes of many sizes in virtual time, as a table in
//! `docs/protocol.md`.
//!
//! Each node has its own [`Rhythm`]; nodes that started together hear the same
//! and share one real [`Directory`]. All start at once, run for rounds, then one
//! in ten restarts at once. The table is made anew by the test that finds it
//! stale.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    fmt::Write as _,
};

use libp2p_identity::Keypair;

use super::*;
use crate::{
    mesh::directory::Statement,
    model::{BootId, Cid, Roles},
    wire::{
        block::DAG_CBOR,
        body::Announcement,
        cid_of,
        envelope::{self, Header, Kind, VERSION},
        testing::{NOW, Node},
    },
};

/// From one Kubo to all others.
const DELAY: Duration = Duration::from_millis(200);
/// A node looks at least so often whether its time has come.
const LOOK: Duration = Duration::from_secs(60);
const INTERVAL: Duration = Duration::from_secs(10);
/// Rates are means over so many seconds.
const WINDOW: usize = 100;
/// One in so many restarts.
const CHURN: usize = 10;
const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];

/// An advert as a node of today makes it, with a few warm functions.
fn advert(boot: u64, period: Duration) -> Advert {
    let peer = Node::new(1).peer;
    let address = |port: u16| format!("/ip4/203.0.113.{port}/tcp/4001/p2p/{peer}");
    Advert {
        boot: BootId::new(boot, 0),
        roles: Roles {
            executor: true,
            scheduler: true,
        },
        runtimes: BTreeMap::from([(
            "wasm".to_owned(),
            vec!["scalar".to_owned(), "wasi".to_owned()],
        )]),
        slots: 8,
        free: 8,
        warm: (0..4).map(|n| cid_of(DAG_CBOR, &[n])).collect::<Vec<Cid>>(),
        labels: BTreeMap::new(),
        addresses: (1..5).map(address).collect(),
        agent: "timerose/0.1.0".to_owned(),
        period_ms: u64::try_from(period.as_millis()).unwrap(),
    }
}

/// Bytes of its envelope.
fn advert_bytes() -> u64 {
    let node = Node::new(1);
    let header = Header {
        v: VERSION,
        net: "public".to_owned(),
        kind: Kind::Advert,
        from: Address::node(node.peer),
        kid: Some(node.kid()),
        to: None,
        session: None,
        seq: None,
        ts: Some(NOW),
        exp: Some(NOW + 30),
    };
    let said = Announcement {
        binding: node.binding.clone(),
        advert: advert(NOW, INTERVAL),
    };
    envelope::sign(&header, &said, &node.key).unwrap().len() as u64
}

/// One node: who it is, how often it started, with whom.
struct Speaker {
    peer: PeerId,
    starts: u64,
    cohort: usize,
    rhythm: Rhythm,
}

/// A whole mesh.
struct Mesh {
    began: Instant,
    now: Instant,
    speakers: Vec<Speaker>,
    /// What those know that started together.
    cohorts: Vec<Directory>,
    dues: BinaryHeap<Reverse<(Instant, usize)>>,
    under_way: VecDeque<(Instant, Statement)>,
    /// Seconds since the beginning at which adverts were said.
    said: Vec<u64>,
}

impl Mesh {
    fn start(size: usize) -> Self {
        let began = Instant::now();
        let mut mesh = Self {
            began,
            now: began,
            speakers: (0..size).map(speaker).collect(),
            cohorts: vec![Directory::default()],
            dues: BinaryHeap::new(),
            under_way: VecDeque::new(),
            said: Vec::new(),
        };
        (0..size).for_each(|index| mesh.begin(index));
        mesh
    }

    fn begin(&mut self, index: usize) {
        let cohort = self.cohorts.len() - 1;
        let speaker = &mut self.speakers[index];
        speaker.starts += 1;
        speaker.cohort = cohort;
        speaker.rhythm = Rhythm::new(INTERVAL, (index as u64) << 8 | speaker.starts);
        speaker.rhythm.begin(self.now);
        self.dues.push(Reverse((self.now, index)));
    }

    /// One in ten starts anew, at once.
    fn churn(&mut self) {
        self.cohorts.push(Directory::default());
        let anew: Vec<usize> = (0..self.speakers.len()).step_by(CHURN).collect();
        self.dues.retain(|Reverse((_, index))| index % CHURN > 0);
        anew.into_iter().for_each(|index| self.begin(index));
    }

    /// Lets so many seconds pass.
    fn run(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        loop {
            let due = self.dues.peek().map(|Reverse((at, _))| *at);
            let arrives = self.under_way.front().map(|(at, _)| *at);
            let next = [due, arrives].into_iter().flatten().min().unwrap();
            if next >= end {
                self.now = end;
                return;
            }
            self.now = next;
            if arrives == Some(next) {
                self.arrive();
            } else if let Some(Reverse((_, index))) = self.dues.pop() {
                self.look(index);
            }
        }
    }

    fn arrive(&mut self) {
        let (_, statement) = self.under_way.pop_front().unwrap();
        for cohort in &mut self.cohorts {
            cohort.hear(statement.clone(), self.now).unwrap();
        }
    }

    fn look(&mut self, index: usize) {
        let speaker = &mut self.speakers[index];
        let crowd = self.cohorts[speaker.cohort].crowd(self.now);
        if speaker.rhythm.depart(crowd, self.now) {
            let at = (self.now - self.began).as_secs();
            let statement = Statement {
                peer: speaker.peer,
                advert: advert(speaker.starts, speaker.rhythm.period(crowd)),
                serial: speaker.starts,
                said: at,
            };
            self.said.push(at);
            self.under_way.push_back((self.now + DELAY, statement));
        }
        let due = speaker.rhythm.due(crowd).unwrap_or(self.now + LOOK);
        let soonest = self.now + Duration::from_millis(1);
        let due = due.min(self.now + LOOK).max(soonest);
        self.dues.push(Reverse((due, index)));
    }

    fn seconds(&self) -> u64 {
        (self.now - self.began).as_secs()
    }

    /// Adverts of the busiest second, and of the busiest window, a second.
    fn busiest(&self, from: u64) -> (usize, f64) {
        let mut counts = vec![0; self.seconds() as usize];
        self.said.iter().for_each(|at| counts[*at as usize] += 1);
        let counts = &counts[from as usize..];
        let windows = counts
            .windows(WINDOW)
            .map(|window| window.iter().sum::<usize>());
        let busiest = windows.max().unwrap();
        (
            *counts.iter().max().unwrap(),
            busiest as f64 / WINDOW as f64,
        )
    }
}

fn speaker(index: usize) -> Speaker {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&(index as u64).to_be_bytes());
    let key = Keypair::ed25519_from_bytes(seed).unwrap();
    Speaker {
        peer: key.public().to_peer_id(),
        starts: 0,
        cohort: 0,
        rhythm: Rhythm::new(INTERVAL, 0),
    }
}

/// One row of the table.
struct Row {
    size: usize,
    period: Duration,
    at_start: usize,
    known_after: u64,
    steady: f64,
    after_churn: usize,
    churned: f64,
}

fn measure(size: usize) -> Row {
    let round = (size as u64 / 9).max(INTERVAL.as_secs());
    let mut mesh = Mesh::start(size);
    let mut known_after = 0;
    while mesh.cohorts[0].len() < size {
        mesh.run(1);
        known_after = mesh.seconds();
        assert!(
            known_after < 4 * round + 60,
            "{} are known",
            mesh.cohorts[0].len()
        );
    }
    mesh.run(WINDOW as u64);
    let at_start = mesh.busiest(0).0;
    mesh.run(round);
    let settled = mesh.seconds();
    mesh.run(round * 2 + WINDOW as u64);
    let steady = mesh.busiest(settled).1;
    let crowd = mesh.cohorts[0].crowd(mesh.now);
    let restarted = mesh.seconds();
    mesh.churn();
    mesh.run(round + WINDOW as u64);
    let (after_churn, churned) = mesh.busiest(restarted);
    Row {
        size,
        period: mesh.speakers[1].rhythm.period(crowd),
        at_start,
        known_after,
        steady,
        after_churn,
        churned,
    }
}

fn table(rows: &[Row]) -> String {
    let bytes = advert_bytes();
    let mut table = format!(
        "An advert of a node with four addresses and four warm functions is {bytes} bytes.\n\n\
         | executors | period | adverts/s, busiest {WINDOW} s | bytes/s heard by each | all start at once: busiest second | all are known after | 1 in {CHURN} restarts: busiest second | busiest {WINDOW} s |\n\
         |---|---|---|---|---|---|---|---|\n"
    );
    for row in rows {
        let heard = (row.steady * bytes as f64).round();
        let Row {
            size,
            at_start,
            known_after,
            steady,
            after_churn,
            churned,
            ..
        } = row;
        let period = row.period.as_secs();
        writeln!(
            table,
            "| {size} | {period} s | {steady:.1} | {heard} | {at_start} | {known_after} s | {after_churn} | {churned:.1} |"
        )
        .unwrap();
    }
    table
}

const BEGIN: &str = "<!-- adverts: made by a test -->\n";
const END: &str = "<!-- adverts end -->\n";

#[test]
fn a_mesh_of_any_size_hears_ten_adverts_a_second_at_most_and_the_table_says_so() {
    let rows: Vec<Row> = SIZES.into_iter().map(measure).collect();
    let made = table(&rows);
    println!("{made}");
    for row in &rows {
        assert!(row.steady <= 10.0, "{}: {}", row.size, row.steady);
        let bound = 50.max(row.size / 4);
        assert!(
            row.at_start <= bound && row.after_churn <= bound,
            "{}",
            row.size
        );
    }
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (published, after) = rest.split_once(END).unwrap();
    if published != made {
        std::fs::write(&path, [before, BEGIN, &made, END, after].concat()).unwrap();
        panic!("the table of adverts in docs/protocol.md was stale; it was made anew");
    }
}
