//! The appliance as it ships. Each scenario is written once against a [`rig`] and plays twice: as
//! processes on loopback, always, and in containers of the image, wherever a Docker engine answers.
//!
//! Activation by a service manager belongs to processes alone: `lifecycle::activation`.

/// The two tests of each scenario.
macro_rules! scenarios {
    ($($scenario:ident),+ $(,)?) => {$(
        mod $scenario {
            use crate::appliance::containers::Containers;
            use crate::appliance::processes::Processes;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn as_processes() {
                super::$scenario(Processes::new()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn in_containers() {
                if let Some(rig) = Containers::new().await {
                    super::$scenario(rig).await;
                }
            }
        }
    )+};
}

mod boot;
mod certificates;
mod container;
mod containers;
mod drain;
mod engine;
mod families;
mod kept;
mod limits;
mod management;
mod pebble_container;
mod processes;
mod reload;
mod rig;
mod site;
