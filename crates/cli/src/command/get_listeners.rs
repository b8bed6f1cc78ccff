//! `vane get listeners`: where does traffic come in?

use vane_mgmt::request::Request;
use vane_mgmt::views::{ListenerState, ListenerView, ListenersView};

use crate::connect::Context;
use crate::error::CommandError;
use crate::output::palette::Palette;
use crate::output::table::{Cell, Tone, table};

pub(super) fn run(context: &Context) -> Result<(), CommandError> {
    context.show(&Request::GetListeners, rendered)
}

fn rendered(view: &ListenersView, palette: Palette) -> String {
    if view.listeners.is_empty() {
        return format!("generation {} has no listeners\n", view.generation);
    }
    let rows: Vec<_> = view.listeners.iter().map(row).collect();
    table(HEADINGS, &rows, palette)
}

fn row(listener: &ListenerView) -> [Cell; 9] {
    [
        listener.transport.into(),
        listener.address.as_str().into(),
        listener.local.as_deref().unwrap_or("-").into(),
        Cell::toned(&listener.state, tone(listener.state)),
        listener.connections.into(),
        listener.accepted.into(),
        listener.generation.into(),
        listener.source.into(),
        note(listener).into(),
    ]
}

fn tone(state: ListenerState) -> Tone {
    match state {
        ListenerState::Listening => Tone::Good,
        ListenerState::Binding | ListenerState::Draining | ListenerState::Unclaimed => Tone::Uneasy,
        ListenerState::Failed => Tone::Bad,
    }
}

fn note(listener: &ListenerView) -> String {
    match &listener.error {
        Some(error) if listener.attempts == 0 => error.clone(),
        Some(error) => format!("attempt {}: {error}", listener.attempts),
        None => String::new(),
    }
}

const HEADINGS: [&str; 9] =
    ["TRANSPORT", "ADDRESS", "LOCAL", "STATE", "OPEN", "ACCEPTED", "GENERATION", "SOURCE", "NOTE"];
