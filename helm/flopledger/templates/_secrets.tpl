{{/* Every Secret that something of the release mounts, as JSON: [{value, name, keys}]. */}}
{{- define "flopledger.secrets" -}}
{{- $kafka := .Values.kafka -}}
{{- $clickhouse := .Values.clickhouse -}}
{{- $named := list
  (dict "value" "ledger.keySecret" "name" .Values.ledger.keySecret.name "keys" (list .Values.ledger.keySecret.key))
  (dict "value" "kafka.caSecret" "name" $kafka.caSecret.name "keys" (list $kafka.caSecret.key))
  (dict "value" "clickhouse.caSecret" "name" $clickhouse.caSecret.name "keys" (list $clickhouse.caSecret.key))
  (dict "value" "clickhouse.passwordSecret" "name" $clickhouse.passwordSecret.name "keys" (list $clickhouse.passwordSecret.key))
-}}
{{- range $who := list "agent" "collector" -}}
{{- with index $kafka $who -}}
{{- $named = concat $named (list
  (dict "value" (printf "kafka.%s.passwordSecret" $who) "name" .passwordSecret.name "keys" (list .passwordSecret.key))
  (dict "value" (printf "kafka.%s.tokenSecret" $who) "name" .tokenSecret.name "keys" (list .tokenSecret.key))
  (dict "value" (printf "kafka.%s.tlsSecret" $who) "name" .tlsSecret.name "keys" (list .tlsSecret.certKey .tlsSecret.keyKey))
) -}}
{{- end -}}
{{- end -}}
{{- range $who := list "installer" "collector" "requester" "auditor" -}}
{{- with (index $clickhouse $who).passwordSecret -}}
{{- $named = append $named (dict "value" (printf "clickhouse.%s.passwordSecret" $who) "name" .name "keys" (list .key)) -}}
{{- end -}}
{{- end -}}
{{- if .Values.agent.enabled -}}
{{- with .Values.agent.otlp.tokenSecret -}}
{{- $named = append $named (dict "value" "agent.otlp.tokenSecret" "name" .name "keys" (list .key)) -}}
{{- end -}}
{{- end -}}
{{- if .Values.web.enabled -}}
{{- with .Values.web.tokensSecret -}}
{{- $named = append $named (dict "value" "web.tokensSecret" "name" .name "keys" (list .key)) -}}
{{- end -}}
{{- end -}}
{{- range .Values.alerts.secrets -}}
{{- $named = append $named (dict "value" "alerts.secrets" "name" . "keys" list) -}}
{{- end -}}
{{- $named | toJson -}}
{{- end }}
