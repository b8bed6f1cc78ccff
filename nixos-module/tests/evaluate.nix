# What the module makes of a system, case by case. Gives the names of those that hold and those that do
# not.
#
#   nix-instantiate --eval --strict --json nixos-module/tests/evaluate.nix \
#     --arg nixpkgsLib 'import <nixpkgs/lib>'   # or null
{
  nixpkgsLib ? null,
}:
let
  system = modules: import ./system.nix { inherit modules nixpkgsLib; };
  of = vaned: (system [ { services.vaned = { enable = true; } // vaned; } ]).config;

  plain = of { };
  service = config: config.systemd.services.vaned;
  exec = config: (service config).serviceConfig;
  listens = config: config.systemd.sockets.vaned.listenStreams;

  rule = {
    listen = ":80";
    respond.body = "x";
  };

  complaints = config: map (a: a.message) (builtins.filter (a: !a.assertion) config.assertions);
  complains =
    vaned: words:
    let
      said = complaints (of vaned);
    in
    builtins.length said == 1 && builtins.match ".*${words}.*" (builtins.head said) != null;

  isRefused = value: !(builtins.tryEval (builtins.deepSeq value true)).success;
  refuses = vaned: isRefused (service (of vaned)) || isRefused (of vaned).services.vaned;

  withCertificate = {
    services.vaned = {
      enable = true;
      useACMEHosts = [
        "example.com"
        "example.org"
      ];
    };
    security.acme.certs."example.com".group = "web";
    security.acme.certs."example.org".group = "web";
  };
  certified = (system [ withCertificate ]).config;

  cases = {
    "nothing is there unless it is enabled" =
      let
        off = (system [ { } ]).config;
      in
      off.systemd.services == { } && off.systemd.sockets == { } && off.users.users == { };
    "the defaults break no assertion" = complaints plain == [ ];
    "the program reads /etc/vaned, whatever the configuration is" =
      (exec plain).ExecStart == "/vane/bin/vaned --config /etc/vaned"
      && (exec (of { rules.a = rule; })).ExecStart == (exec plain).ExecStart;
    "/etc/vaned leads to the configuration" =
      plain.environment.etc.vaned.source == plain.services.vaned.finalConfigDir;
    "systemd reloads by SIGHUP and waits for the answer" =
      (exec plain).Type == "notify-reload"
      && (exec plain).ReloadSignal == "SIGHUP"
      && (exec plain).NotifyAccess == "main";
    "a changed rule changes what reloads and nothing else of the service" =
      let
        one = service (of { rules.a = rule; });
        other = service (of { rules.a = rule // { listen = ":81"; }; });
      in
      one.reloadTriggers != other.reloadTriggers
      && one.restartTriggers == [ ]
      && removeAttrs one [ "reloadTriggers" ] == removeAttrs other [ "reloadTriggers" ];
    "without reload a changed rule restarts" =
      let
        one = service (of { enableReload = false; rules.a = rule; });
        other = service (of { enableReload = false; });
      in
      one.reloadTriggers == [ ] && one.restartTriggers != other.restartTriggers;
    "a restart leaves the sockets open" = (service plain).stopIfChanged == false;
    "a daemon that cannot start is tried for as long as it takes" =
      (service plain).startLimitIntervalSec == 0 && (exec plain).Restart == "on-failure";
    "systemd waits longer than the drain" =
      (exec (of { drainTimeout = 100; })).TimeoutStopSec == "115s"
      && (service (of { drainTimeout = 100; })).environment.VANE_DRAIN_TIMEOUT_SECS == "100";
    "sockets that no unit holds are kept" = (exec plain).FileDescriptorStoreMax == 64;

    "each family has sockets of its own" =
      plain.systemd.sockets.vaned.socketConfig.BindIPv6Only == "ipv6-only"
      &&
        listens plain == [
          "0.0.0.0:80"
          "[::]:80"
          "0.0.0.0:443"
          "[::]:443"
        ];
    "the service needs the sockets that are named in it" =
      (exec plain).Sockets == "vaned.socket vaned-mgmt.socket"
      &&
        (service plain).requires == [
          "vaned.socket"
          "vaned-mgmt.socket"
        ];
    "sockets are there after the start of the machine" =
      plain.systemd.sockets.vaned.wantedBy == [ "sockets.target" ]
      && plain.systemd.sockets.vaned-mgmt.wantedBy == [ "sockets.target" ];
    "without activation the daemon binds, and management is still a socket unit" =
      let
        config = of { socketActivation = false; };
      in
      !(config.systemd.sockets ? vaned)
      && (service config).requires == [ "vaned-mgmt.socket" ]
      && (exec config).Sockets == "vaned-mgmt.socket";
    "management is for root and the group" =
      let
        config = of { group = "admins"; };
        socket = config.systemd.sockets.vaned-mgmt;
      in
      socket.listenStreams == [ "/run/vaned.sock" ]
      && socket.socketConfig.SocketMode == "0660"
      && socket.socketConfig.SocketGroup == "admins"
      && (service config).environment.VANE_MGMT_UNIX == "/run/vaned.sock";

    "the firewall stays as it is" =
      plain.networking.firewall.allowedTCPPorts == [ ] && plain.networking.firewall.allowedUDPPorts == [ ];
    "the firewall lets through what the world is to reach" =
      (of {
        openFirewall = true;
        listen.streams = [
          "0.0.0.0:80"
          "[::]:80"
          "192.0.2.1:8443"
          "[2001:db8::1]:8444"
          "127.0.0.1:9000"
          "[::1]:9001"
        ];
      }).networking.firewall.allowedTCPPorts == [
        80
        8443
        8444
      ];

    "UDP is held and let through as it is listed" =
      let
        config = of {
          openFirewall = true;
          listen.datagrams = [ "0.0.0.0:443" ];
        };
      in
      config.systemd.sockets.vaned.listenDatagrams == [ "0.0.0.0:443" ]
      && config.networking.firewall.allowedUDPPorts == [ 443 ]
      && plain.systemd.sockets.vaned.listenDatagrams == [ ];

    "certificates of NixOS can be read and reload the daemon" =
      (exec certified).SupplementaryGroups == [ "web" ]
      && certified.security.acme.certs."example.com".reloadServices == [ "vaned.service" ]
      && builtins.elem "acme-example.org.service" (service certified).wants
      && builtins.elem "acme-example.org.service" (service certified).after;
    "credentials are handed over by name" =
      (exec (of { credentials."site.key" = "/run/secrets/k"; })).LoadCredential == [
        "site.key:/run/secrets/k"
      ];
    "secrets are read from files" =
      (exec (of { environmentFiles = [ "/run/secrets/env" ]; })).EnvironmentFile == [ "/run/secrets/env" ];
    "variables may be numbers" =
      (service (of { environment.VANE_WORKERS = 4; })).environment.VANE_WORKERS == "4";

    "user and group are created where they are the default" =
      plain.users.users.vaned.group == "vaned"
      && plain.users.users.vaned.isSystemUser
      && plain.users.groups ? vaned
      && (of { user = "edge"; group = "edge"; }).users.users == { }
      && (of { user = "edge"; group = "edge"; }).users.groups == { };

    "a configuration that is not to be checked is not" =
      let
        config = of { validateConfig = false; };
      in
      config.services.vaned.finalConfigDir != plain.services.vaned.finalConfigDir;
    "a directory outside of the store is served as it is" =
      (of { configDir = "/srv/vaned"; }).environment.etc.vaned.source == "/srv/vaned";

    "a directory and rules are one too many" = complains {
      configDir = "/srv/vaned";
      rules.a = rule;
    } "configDir";
    "a directory and plugins are one too many" = complains {
      configDir = "/srv/vaned";
      wasmModules.a = ./stub.nix;
    } "configDir";
    "a plugin whose file would lie elsewhere is named" = complains {
      wasmModules."../a" = ./stub.nix;
    } "vaned.wasmModules";
    "a rule whose file would be hidden is named" = complains { rules.".a" = rule; } "vaned.rules";
    "a rule whose file would lie elsewhere is named" = complains { rules."../a" = rule; } "vaned.rules";
    "no sockets to activate by is told" = complains { listen.streams = [ ]; } "socketActivation = false";
    "a variable that an option sets is told" = complains {
      environment.VANE_DRAIN_TIMEOUT_SECS = 5;
    } "drainTimeout";

    "an ordinary system is not refused" = !(refuses { rules.a = rule; });
    "state and management have their places" =
      complains { environment.VANE_STATE_DIR = "/srv"; } "/var/lib/vaned"
      && complains { environment.VANE_MGMT_UNIX = "/srv/m"; } "/run/vaned.sock";

    "a port without a family is refused" = refuses { listen.streams = [ "443" ]; };
    "a path to listen on is refused" = refuses { listen.streams = [ "/run/x" ]; };
    "a negative drain is refused" = refuses { drainTimeout = -1; };
    "a drain in words is refused" = refuses { drainTimeout = "30s"; };
    "an option that does not exist is refused" = refuses { ruels = { }; };
    "a rule that is no JSON is refused" = refuses { rules.a = x: x; };
    "what is read only cannot be set" = refuses { finalConfigDir = "/srv"; };
  };

  names = builtins.attrNames cases;
  # A case that does not evaluate does not hold.
  holds = name: (builtins.tryEval cases.${name}) == { success = true; value = true; };
in
{
  passed = builtins.filter holds names;
  failed = builtins.filter (name: !(holds name)) names;
}
