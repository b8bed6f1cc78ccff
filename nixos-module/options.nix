# What can be set. The table in docs/nixos.md is made from this file.
{ lib, pkgs, ... }:
let
  inherit (lib)
    literalExpression
    mkEnableOption
    mkOption
    mkPackageOption
    types
    ;
  json = (pkgs.formats.json { }).type;
  # Not ListenStream='s `443` nor `[::]` for both families: each socket belongs to one.
  address = types.strMatching "([0-9.]+|\\[[0-9a-fA-F:.]+]):[0-9]{1,5}";
in
{
  options.services.vaned = {
    enable = mkEnableOption "vaned, the edge proxy";

    package = mkPackageOption pkgs "vane" { };

    user = mkOption {
      type = types.str;
      default = "vaned";
      description = "The user that vaned runs as. It is created where it is the default.";
    };

    group = mkOption {
      type = types.str;
      default = "vaned";
      description = "The group that vaned runs as, whose members may manage it. It is created where it is the default.";
    };

    settings = mkOption {
      type = types.attrsOf json;
      default = { };
      example = {
        trusted_proxies = [ "10.0.0.0/8" ];
      };
      description = "What `config.json` says. Everybody on the machine can read it: no secrets.";
    };

    rules = mkOption {
      type = types.attrsOf json;
      default = { };
      example = {
        app = {
          listen = ":80";
          forward = "http://127.0.0.1:3000";
        };
      };
      description = "`rules.NAME` becomes `rules/NAME.json`: a rule, or a list of rules. A single one without a `name` is called NAME. Everybody on the machine can read them.";
    };

    wasmModules = mkOption {
      type = types.attrsOf types.path;
      default = { };
      example = literalExpression "{ auth = ./auth.wasm; }";
      description = "`wasmModules.NAME` becomes `wasm/NAME.wasm`, where plugins lie. No rule can name one yet.";
    };

    configDir = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = literalExpression "./vaned";
      description = "A whole configuration directory in place of `settings`, `rules` and `wasmModules`.";
    };

    validateConfig = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the system is built only if `vaned --check` accepts the configuration. A variable that is not set is only warned about. Not done for a `configDir` outside of the store, nor where the building machine cannot run the daemon.";
    };

    finalConfigDir = mkOption {
      type = types.path;
      readOnly = true;
      description = "What `/etc/vaned` leads to, for other modules to read.";
    };

    environment = mkOption {
      type = types.attrsOf (types.either types.str types.int);
      default = { };
      example = {
        VANE_LOG = "warn";
        VANE_WORKERS = 4;
      };
      description = "Variables of the daemon, settings (`VANE_*`) and those that `\${NAME}` in the configuration stands for. Everybody on the machine can read them.";
    };

    environmentFiles = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "/run/secrets/vaned.env" ];
      description = "Files with lines `NAME=value` that root reads when the daemon starts, for variables that are secrets.";
    };

    credentials = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = {
        "site.key" = "/run/secrets/site.key";
      };
      description = "Files that the daemon may not read itself. `credentials.NAME` is found by rules at `/run/credentials/vaned.service/NAME`, as it was when the daemon started.";
    };

    socketActivation = mkOption {
      type = types.bool;
      default = true;
      description = "Whether systemd holds the sockets of `listen.streams` and `listen.datagrams`, so that a restart refuses nobody. Without it the daemon binds them.";
    };

    listen.streams = mkOption {
      type = types.listOf address;
      default = [
        "0.0.0.0:80"
        "[::]:80"
        "0.0.0.0:443"
        "[::]:443"
      ];
      description = "The TCP addresses that the world reaches, one family each; `[::]` is IPv6 alone. Others that rules listen on are bound by the daemon.";
    };

    listen.datagrams = mkOption {
      type = types.listOf address;
      default = [ ];
      example = [
        "0.0.0.0:443"
        "[::]:443"
      ];
      description = "The UDP addresses that systemd holds, one family each. No rule listens on UDP yet: the daemon keeps these open and shows them as `unclaimed`.";
    };

    openFirewall = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the firewall lets the ports of `listen.streams` and `listen.datagrams` through, but for addresses of the loopback network.";
    };

    enableReload = mkOption {
      type = types.bool;
      default = true;
      description = "Whether a changed configuration reloads the daemon. Without it the daemon is restarted.";
    };

    drainTimeout = mkOption {
      type = types.ints.between 0 86400;
      default = 30;
      description = "Seconds that what is in flight may take when the daemon ends; systemd waits 15 more.";
    };

    useACMEHosts = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "example.com" ];
      description = "Certificates of `security.acme.certs` that rules name: the daemon may read them, starts after them, and is reloaded when they are renewed.";
    };
  };
}
