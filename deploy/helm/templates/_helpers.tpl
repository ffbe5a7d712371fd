{{- define "centralcloud.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- /* Labels of every object. The argument: the context, and the name. */ -}}
{{- define "centralcloud.labels" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/part-of: centralcloud
app.kubernetes.io/managed-by: {{ .context.Release.Service }}
helm.sh/chart: {{ .context.Chart.Name }}-{{ .context.Chart.Version }}
{{- end -}}

{{- define "centralcloud.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "centralcloud.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- /* Spreads replicas over nodes and zones. The argument: the labels of the pods. */ -}}
{{- define "centralcloud.spread" -}}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- $ | nindent 6 }}
{{- end }}
{{- end -}}

{{- define "centralcloud.daemonLabels" -}}
app.kubernetes.io/name: centralcloud
app.kubernetes.io/component: daemon
{{- end -}}

{{- define "centralcloud.gatewayLabels" -}}
app.kubernetes.io/name: centralcloud-gateway
app.kubernetes.io/component: gateway
{{- end -}}

{{- define "centralcloud.dashboardLabels" -}}
app.kubernetes.io/name: centralcloud-dashboard
app.kubernetes.io/component: dashboard
{{- end -}}

{{- define "centralcloud.dnsEgress" -}}
- ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
{{- end -}}

{{- define "centralcloud.daemonSettings" -}}
{{- $defaults := dict "CENTRALCLOUD_HTTP_ADDRESS" "0.0.0.0" "CENTRALCLOUD_HTTP_PORT" "8080" "CENTRALCLOUD_LOG_FORMAT" "json" -}}
{{- range $name, $value := merge (deepCopy .Values.daemon.settings) $defaults }}
{{ $name }}: {{ $value | toString | quote }}
{{- end }}
{{- end -}}

{{- define "centralcloud.gatewaySettings" -}}
{{- $defaults := dict "INSTANCE_AGENT_GATEWAY_ADDRESS" "0.0.0.0" "INSTANCE_AGENT_GATEWAY_PORT" "3003" "INSTANCE_AGENT_HTTP_ADDRESS" "0.0.0.0" "INSTANCE_AGENT_HTTP_PORT" "8080" "INSTANCE_AGENT_LOG_FORMAT" "json" -}}
{{- range $name := list "INSTANCE_AGENT_GATEWAY_PORT" "INSTANCE_AGENT_HTTP_PORT" "INSTANCE_AGENT_GATEWAY_DRAIN_SECONDS" }}
{{- if hasKey $.Values.gateway.settings $name }}
{{- fail (printf "gateway.settings.%s: the chart sets it (gateway.drainSeconds for the drain)" $name) }}
{{- end }}
{{- end }}
{{- if ne (int .Values.gateway.drainSeconds) 25 }}
{{- $_ := set $defaults "INSTANCE_AGENT_GATEWAY_DRAIN_SECONDS" (.Values.gateway.drainSeconds | toString) }}
{{- end }}
{{- range $name, $value := merge (deepCopy .Values.gateway.settings) $defaults }}
{{ $name }}: {{ $value | toString | quote }}
{{- end }}
{{- end -}}

{{- define "centralcloud.dashboardSettings" -}}
{{- $defaults := dict "CENTRALCLOUD_DASHBOARD_ADDRESS" "0.0.0.0" "CENTRALCLOUD_DASHBOARD_PORT" "8480" "CENTRALCLOUD_DASHBOARD_USERS_FILE" "/run/secrets/users/users" "CENTRALCLOUD_DASHBOARD_LOG_FORMAT" "json" -}}
{{- if hasKey .Values.dashboard.settings "CENTRALCLOUD_DASHBOARD_PORT" }}
{{- fail "dashboard.settings.CENTRALCLOUD_DASHBOARD_PORT: the chart sets it" }}
{{- end }}
{{- range $name, $value := merge (deepCopy .Values.dashboard.settings) $defaults }}
{{ $name }}: {{ $value | toString | quote }}
{{- end }}
{{- end -}}
