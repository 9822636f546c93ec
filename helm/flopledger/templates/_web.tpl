{{/* The page's settings: as its own user of the server, and who may see it. */}}

{{- define "flopledger.web.settings" -}}
{{- $web := .Values.web -}}
{{- $settings := dict
  "data_dir" "/var/lib/flopledger"
  "cluster" .Values.cluster
  "web_host" "0.0.0.0"
  "web_port" $web.port
-}}
{{- if $web.tokensSecret.name }}{{ $_ := set $settings "web_tokens_file" "/etc/flopledger/secrets/web/tokens" }}{{ end -}}
{{- if $web.trustedProxies }}{{ $_ := set $settings "web_trusted_proxies" $web.trustedProxies }}{{ end -}}
{{- if $web.groups }}{{ $_ := set $settings "web_groups" $web.groups }}{{ end -}}
{{- merge $settings (include "flopledger.settings.clickhouse" (list . .Values.clickhouse.requester) | fromJson) | toJson -}}
{{- end }}

{{- define "flopledger.web.config" -}}
{{- merge (include "flopledger.web.settings" . | fromJson) .Values.web.settings | include "flopledger.toml" -}}
{{- end }}

{{- define "flopledger.web.secrets" -}}
{{- include "flopledger.secrets.clickhouse" (list . .Values.clickhouse.requester) }}
{{- include "flopledger.secret" (list .Values.web.tokensSecret "web/tokens") }}
{{- end }}
