# vaned.service. What closes the daemon in is what systemd/vaned.service says; a test compares them.
{ config, lib, ... }:
let
  cfg = config.services.vaned;
  sockets = lib.optional cfg.socketActivation "vaned.socket" ++ [ "vaned-mgmt.socket" ];
  acmeUnits = map (name: "acme-${name}.service") cfg.useACMEHosts;
in
{
  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ];

    systemd.services.vaned = {
      description = "vane, the edge proxy";
      documentation = [ "man:vane(1)" ];
      wantedBy = [ "multi-user.target" ];
      requires = sockets;
      wants = acmeUnits;
      after = sockets ++ [ "network.target" ] ++ acmeUnits;

      reloadTriggers = lib.optional cfg.enableReload cfg.finalConfigDir;
      restartTriggers = lib.optional (!cfg.enableReload) cfg.finalConfigDir;
      # To stop the service and start it again would stop its sockets too; a restart leaves them open.
      stopIfChanged = false;
      # A daemon that cannot start is tried again for as long as it takes: to give up would close the sockets.
      startLimitIntervalSec = 0;

      environment = lib.mapAttrs (_: toString) cfg.environment // {
        VANE_DRAIN_TIMEOUT_SECS = toString cfg.drainTimeout;
        VANE_MGMT_UNIX = "/run/vaned.sock";
      };

      serviceConfig = {
        Type = "notify-reload";
        NotifyAccess = "main";
        ReloadSignal = "SIGHUP";
        ExecStart = "${lib.getExe' cfg.package "vaned"} --config /etc/vaned";
        Sockets = lib.concatStringsSep " " sockets;
        Restart = "on-failure";
        RestartSec = "500ms";
        RestartSteps = 6;
        RestartMaxDelaySec = "30s";
        WatchdogSec = "30s";
        # The daemon asks for more where it needs it.
        TimeoutStopSec = "${toString (cfg.drainTimeout + 15)}s";
        KillMode = "mixed";
        # Sockets that no unit holds are kept over a restart.
        FileDescriptorStoreMax = 64;
        LimitNOFILE = 1048576;

        User = cfg.user;
        Group = cfg.group;
        SupplementaryGroups = lib.unique (
          map (name: config.security.acme.certs.${name}.group) cfg.useACMEHosts
        );
        UMask = "0077";
        EnvironmentFile = cfg.environmentFiles;
        LoadCredential = lib.mapAttrsToList (name: path: "${name}:${path}") cfg.credentials;
        StateDirectory = "vaned";
        StateDirectoryMode = "0700";
        RuntimeDirectory = "vaned";
        RuntimeDirectoryMode = "0750";
        RuntimeDirectoryPreserve = "restart";

        AmbientCapabilities = "CAP_NET_BIND_SERVICE";
        CapabilityBoundingSet = "CAP_NET_BIND_SERVICE";
        NoNewPrivileges = true;
        ProtectSystem = "strict";
        ProtectHome = true;
        PrivateTmp = true;
        PrivateDevices = true;
        DevicePolicy = "closed";
        PrivateMounts = true;
        ProtectClock = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectControlGroups = true;
        ProtectProc = "invisible";
        ProcSubset = "pid";
        RestrictAddressFamilies = "AF_INET AF_INET6 AF_UNIX";
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        RemoveIPC = true;
        LockPersonality = true;
        MemoryDenyWriteExecute = true;
        SystemCallArchitectures = "native";
        SystemCallFilter = [
          "@system-service"
          "~@privileged @resources"
        ];
        SystemCallErrorNumber = "EPERM";
      };
    };

    security.acme.certs = lib.genAttrs cfg.useACMEHosts (_: {
      reloadServices = [ "vaned.service" ];
    });

    users.users = lib.mkIf (cfg.user == "vaned") {
      vaned = {
        isSystemUser = true;
        group = cfg.group;
        description = "vane, the edge proxy";
      };
    };
    users.groups = lib.mkIf (cfg.group == "vaned") { vaned = { }; };
  };
}
