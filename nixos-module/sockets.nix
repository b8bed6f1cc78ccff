# The sockets that outlive the daemon, and the way to them.
{ config, lib, ... }:
let
  cfg = config.services.vaned;

  isLocal = address: lib.hasPrefix "127." address || lib.hasPrefix "[::1]:" address;
  port = address: lib.toInt (lib.last (lib.splitString ":" address));
  publicPorts = addresses: lib.unique (map port (lib.filter (address: !isLocal address) addresses));
in
{
  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.socketActivation -> cfg.listen.streams != [ ];
        message = "services.vaned.listen.streams is empty: set `services.vaned.socketActivation = false` where the daemon is to bind everything itself.";
      }
    ];

    # One unit for all public addresses: another one could not be started while the daemon runs.
    systemd.sockets.vaned = lib.mkIf cfg.socketActivation {
      description = "Public addresses of vane";
      wantedBy = [ "sockets.target" ];
      listenStreams = cfg.listen.streams;
      listenDatagrams = cfg.listen.datagrams;
      socketConfig = {
        FileDescriptorName = "public";
        # Without it [::] takes IPv4 as well, and vaned refuses the socket.
        BindIPv6Only = "ipv6-only";
        NoDelay = true;
        Backlog = 4096;
        Service = "vaned.service";
      };
    };

    systemd.sockets.vaned-mgmt = {
      description = "Management of vane";
      wantedBy = [ "sockets.target" ];
      # Not an option: NixOS does not restart a changed socket unit, and the daemon may make none in /run.
      listenStreams = [ "/run/vaned.sock" ];
      socketConfig = {
        FileDescriptorName = "management";
        # Members of the group may ask and command the daemon.
        SocketUser = "root";
        SocketGroup = cfg.group;
        SocketMode = "0660";
        RemoveOnStop = true;
        Service = "vaned.service";
      };
    };

    networking.firewall = lib.mkIf cfg.openFirewall {
      allowedTCPPorts = publicPorts cfg.listen.streams;
      allowedUDPPorts = publicPorts cfg.listen.datagrams;
    };
  };
}
