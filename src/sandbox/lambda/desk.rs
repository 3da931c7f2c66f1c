//! Where one runtime and its node meet: events one way, answers the other.
//!
//! Takes what the runtime asks over its API, and what the node wants run; gives
//! each what the other left. One invocation at a time; a step out of turn is
//! refused and changes nothing.

use bytes::Bytes;
use tokio::sync::watch;

/// An event on its way to the runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// The request's id.
    pub(super) id: String,
    /// JSON.
    pub(super) body: Bytes,
    /// Unix milliseconds at which the run is ended.
    pub(super) deadline_ms: u64,
    /// What was invoked.
    pub(super) arn: String,
    /// Names the run in traces.
    pub(super) trace: String,
    /// JSON of the caller, beside the event.
    pub(super) client_context: Option<String>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// A result.
    Response(Bytes),
    /// The function failed; JSON.
    Error(Bytes),
    /// The response exceeds what is allowed; so many bytes came.
    TooLarge(usize),
}

/// Why a step was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Another invocation's id, or one of the past.
    WrongId,
    /// Not now.
    WrongState,
}

/// How far the runtime is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// It starts.
    Init,
    /// It asks for an event; one may lie there.
    Waiting(Option<Box<Event>>),
    /// It works on the event of this id.
    Busy(String),
    /// It answered, and has not asked for more.
    Answered(Option<Answer>),
    /// It could not start; JSON.
    InitFailed(Bytes),
    /// It ended, with this code.
    Exited(i64),
}

/// The meeting place.
#[derive(Debug)]
pub(super) struct Desk {
    state: watch::Sender<State>,
}

/// How a run ended, seen from the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// With an answer.
    Answered(Answer),
    /// The runtime could not start.
    InitFailed(Bytes),
    /// The runtime ended.
    Exited(i64),
}

impl Desk {
    pub(super) fn new() -> Self {
        Self {
            state: watch::Sender::new(State::Init),
        }
    }

    /// The runtime's: waits for an event. An answer that the node has not taken
    /// yet is waited for: a quick runtime asks for more before that.
    pub(super) async fn next(&self) -> Result<Event, Refused> {
        self.until(|state| !matches!(state, State::Answered(Some(_))))
            .await;
        self.step(|state| match state {
            State::Init | State::Answered(None) => {
                *state = State::Waiting(None);
                Ok(())
            }
            State::Waiting(_) => Ok(()),
            _ => Err(Refused::WrongState),
        })?;
        self.until(|state| !matches!(state, State::Waiting(None)))
            .await;
        self.step(|state| match state {
            State::Waiting(event) => {
                let event = event.take().ok_or(Refused::WrongState)?;
                *state = State::Busy(event.id.clone());
                Ok(*event)
            }
            _ => Err(Refused::WrongState),
        })
    }

    /// The runtime's: leaves its answer to the event of this id.
    pub(super) fn answer(&self, id: &str, answer: Answer) -> Result<(), Refused> {
        self.step(|state| match state {
            State::Busy(busy) if busy == id => {
                *state = State::Answered(Some(answer));
                Ok(())
            }
            State::Busy(_) => Err(Refused::WrongId),
            _ => Err(Refused::WrongState),
        })
    }

    /// The runtime's: it cannot start.
    pub(super) fn init_failed(&self, error: Bytes) -> Result<(), Refused> {
        self.step(|state| match state {
            State::Init => {
                *state = State::InitFailed(error);
                Ok(())
            }
            _ => Err(Refused::WrongState),
        })
    }

    /// The runtime is gone; an answer that it left still counts.
    pub(super) fn exited(&self, code: i64) {
        self.state.send_if_modified(|state| {
            let is_final = matches!(state, State::InitFailed(_) | State::Answered(Some(_)));
            if !is_final {
                *state = State::Exited(code);
            }
            !is_final
        });
    }

    /// The node's: waits until the runtime asks for an event; then it can be
    /// given one at once.
    pub(super) async fn ready(&self) -> Result<(), Ended> {
        let mut seen = self.state.subscribe();
        let is_settled = |state: &State| {
            matches!(
                state,
                State::Waiting(None) | State::InitFailed(_) | State::Exited(_)
            )
        };
        match seen.wait_for(is_settled).await.as_deref() {
            Ok(State::InitFailed(error)) => Err(Ended::InitFailed(error.clone())),
            Ok(State::Exited(code)) => Err(Ended::Exited(*code)),
            _ => Ok(()),
        }
    }

    /// The node's: has the runtime run `event`, once it is ready; gives how
    /// that ended.
    pub(super) async fn run(&self, event: Event) -> Ended {
        let event = Box::new(event);
        let given = self.step(|state| match state {
            State::Waiting(none @ None) => {
                *none = Some(event);
                Ok(())
            }
            _ => Err(Refused::WrongState),
        });
        let is_over = |state: &State| {
            let is_early = given.is_err();
            let is_end = matches!(state, State::InitFailed(_) | State::Exited(_));
            is_early || is_end || matches!(state, State::Answered(Some(_)))
        };
        self.until(is_over).await;
        let ended = self.step(|state| match state {
            State::Answered(answer) => Ok(answer.take().map(Ended::Answered)),
            State::InitFailed(error) => Ok(Some(Ended::InitFailed(error.clone()))),
            State::Exited(code) => Ok(Some(Ended::Exited(*code))),
            _ => Ok(None),
        });
        ended.ok().flatten().unwrap_or(Ended::Exited(0))
    }

    /// Whether it can be given another event, now or soon.
    pub(super) fn is_alive(&self) -> bool {
        matches!(
            *self.state.borrow(),
            State::Waiting(None) | State::Answered(None)
        )
    }

    /// Waits for a state; who changes it is this desk, so it lasts as long.
    async fn until(&self, is_so: impl FnMut(&State) -> bool) {
        let _ours_lives = self.state.subscribe().wait_for(is_so).await.map(drop);
    }

    /// Changes the state, and tells those who wait, unless it is refused.
    fn step<T>(&self, change: impl FnOnce(&mut State) -> Result<T, Refused>) -> Result<T, Refused> {
        let mut result = Err(Refused::WrongState);
        self.state.send_if_modified(|state| {
            result = change(state);
            result.is_ok()
        });
        result
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn event(id: &str) -> Event {
        Event {
            id: id.to_owned(),
            body: "{}".into(),
            deadline_ms: 0,
            arn: String::new(),
            trace: String::new(),
            client_context: None,
        }
    }

    #[tokio::test]
    async fn an_event_goes_there_and_its_answer_back() {
        let desk = Desk::new();
        for id in ["a", "b"] {
            let runtime = async {
                let event = desk.next().await.unwrap();
                assert_eq!(
                    desk.answer("other", Answer::TooLarge(1)),
                    Err(Refused::WrongId)
                );
                desk.answer(&event.id, Answer::Response(event.id.clone().into()))
                    .unwrap();
            };
            let node = async {
                desk.ready().await.unwrap();
                desk.run(event(id)).await
            };
            let (ended, ()) = tokio::join!(node, runtime);
            assert_eq!(
                ended,
                Ended::Answered(Answer::Response(id.to_owned().into()))
            );
            assert!(desk.is_alive());
        }
    }

    #[tokio::test]
    async fn a_runtime_may_ask_for_more_before_the_node_took_its_answer() {
        let desk = Desk::new();
        assert!(desk.next().now_or_never().is_none());
        let mut run = Box::pin(desk.run(event("a")));
        assert!((&mut run).now_or_never().is_none());
        let first = desk.next().await.unwrap();
        desk.answer(&first.id, Answer::TooLarge(7)).unwrap();
        let mut next = Box::pin(desk.next());
        assert!((&mut next).now_or_never().is_none(), "it is not refused");
        assert_eq!(run.await, Ended::Answered(Answer::TooLarge(7)));
        assert!((&mut next).now_or_never().is_none());
        desk.ready().await.unwrap();
        let (second, _) = tokio::join!(next, async { desk.run(event("b")).now_or_never() });
        assert_eq!(second.unwrap().id, "b");
    }

    #[tokio::test]
    async fn a_step_out_of_turn_is_refused() {
        let desk = Desk::new();
        assert_eq!(
            desk.answer("a", Answer::TooLarge(1)),
            Err(Refused::WrongState)
        );
        assert!(desk.next().now_or_never().is_none());
        assert_eq!(desk.init_failed("{}".into()), Err(Refused::WrongState));
        let (ended, taken) = tokio::join!(async { desk.run(event("a")).now_or_never() }, async {
            desk.next().await.unwrap().id
        });
        assert_eq!((ended, taken.as_str()), (None, "a"));
        assert_eq!(desk.next().await, Err(Refused::WrongState));
    }

    #[tokio::test]
    async fn a_runtime_that_ends_or_cannot_start_ends_the_run() {
        let desk = Desk::new();
        desk.init_failed("no".into()).unwrap();
        desk.exited(1);
        assert_eq!(desk.ready().await, Err(Ended::InitFailed("no".into())));
        let desk = Desk::new();
        assert!(desk.next().now_or_never().is_none());
        let (ended, ()) = tokio::join!(desk.run(event("a")), async {
            desk.next().await.unwrap();
            desk.exited(3);
        });
        assert_eq!(ended, Ended::Exited(3));
        assert!(!desk.is_alive());
    }
}
